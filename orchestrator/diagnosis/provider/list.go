package provider

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/strictyaml"
)

// MaxModels is how many models a council has at its table.
const MaxModels = 2

// keys are those of a model.
var keys = []string{
	"id", "provider", "base_url", "model", "key_file", "key_env", "lens", "timeout", "hourly_calls", "input_price", "output_price", "structured", "allow_private",
}

// ParseList reads the list below "models:" of a configuration. An unknown or
// repeated key is a problem, as is everything that cannot be used.
func ParseList(r *strictyaml.Reader, n *yaml.Node) []Config {
	l := &list{Reader: r}
	r.Items(n, "models", "id", MaxModels, "are asked", l.item)
	return l.configs
}

type list struct {
	*strictyaml.Reader
	configs []Config
}

func (l *list) item(at *yaml.Node) {
	n := strictyaml.Resolve(at)
	if n.Kind != yaml.MappingNode {
		l.Problem(at, "a model must have its keys on lines of their own: id, provider, model and, if you like, %s", strings.Join(keys[2:], ", "))
		return
	}
	c := Config{Where: l.Where(at), Timeout: 7 * time.Second, HourlyCalls: 20, Structured: true}
	sound := true
	l.Pairs(n, func(key, value *yaml.Node) { sound = l.setting(&c, key, value) && sound })
	if sound {
		l.whole(at, c)
	}
}

// setting reads one key of a model, and says whether nothing is wrong with it.
func (l *list) setting(c *Config, key, value *yaml.Node) bool {
	switch {
	case key.Value == "key" || key.Value == "api_key":
		l.Problem(key, "a key has no place in this file: give key_file, or key_env with the name of a variable")
		return false
	case !slices.Contains(keys, key.Value):
		l.Problem(key, "unknown key %q of a model%s", key.Value, strictyaml.Unknown(key.Value, keys))
		return false
	case value.Kind != yaml.ScalarNode || strings.TrimSpace(value.Value) == "":
		l.Problem(value, "%s must be a single value", key.Value)
		return false
	}
	if err := c.set(key.Value, strings.TrimSpace(value.Value), value.ShortTag()); err != nil {
		l.Problem(value, "%s %v", key.Value, err)
		return false
	}
	return true
}

// set takes one setting over. The error completes the sentence "KEY …".
func (c *Config) set(key, s, tag string) (err error) {
	switch key {
	case "timeout":
		if c.Timeout, err = time.ParseDuration(s); err != nil || c.Timeout < time.Second || c.Timeout > maxTimeout {
			return fmt.Errorf("must be a time between 1s and %s, not %q", maxTimeout, s)
		}
		return nil
	case "hourly_calls":
		if c.HourlyCalls, err = strconv.Atoi(s); err != nil || c.HourlyCalls < 1 || c.HourlyCalls > maxCalls {
			return fmt.Errorf("must be a number between 1 and %d, not %q", maxCalls, s)
		}
		return nil
	case "input_price", "output_price":
		into := map[string]*float64{"input_price": &c.InputPrice, "output_price": &c.OutputPrice}[key]
		if *into, err = strconv.ParseFloat(s, 64); err != nil || !(*into >= 0 && *into <= maxPrice) {
			return fmt.Errorf("must be dollars for a million tokens, 0 to %d, not %q", maxPrice, s)
		}
		return nil
	case "structured", "allow_private":
		if tag != "!!bool" {
			return fmt.Errorf("must be true or false, not %q", s)
		}
		*map[string]*bool{"structured": &c.Structured, "allow_private": &c.AllowPrivate}[key] = strings.EqualFold(s, "true")
		return nil
	}
	if tag != "!!str" {
		return fmt.Errorf("must be text: put quotes round it, %q", s)
	}
	return c.text(key, s)
}

// text takes over a setting that is text.
func (c *Config) text(key, s string) error {
	ok, want := true, ""
	switch key {
	case "id":
		ok, want = len(s) <= 40 && made(s, "-") && s != "rules", "must be 1 to 40 lower-case letters, digits and hyphens, and not \"rules\""
		c.ID = s
	case "provider":
		ok, want = s == "anthropic" || s == "openai", "must be anthropic or openai; servers that are compatible with OpenAI's are openai, with a base_url"
		c.Provider = s
	case "lens":
		ok, want = s == "latency" || s == "network", "must be latency or network"
		c.Lens = s
	case "base_url":
		u, err := url.Parse(s)
		ok = err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && u.RawQuery == "" && u.Fragment == ""
		want, c.BaseURL = "must be an http or https URL without user, query or fragment, such as https://api.example.com/v1", s
		if !ok {
			return fmt.Errorf("%s", want) // it may have a password in it
		}
	case "key_env":
		if !made(strings.ToLower(s), "_") || s[0] >= '0' && s[0] <= '9' {
			return fmt.Errorf("must be the name of an environment variable, and not the key itself")
		}
		c.KeyEnv = s
	case "key_file":
		c.KeyFile = s
	case "model":
		ok, want = len(s) <= 200, "must have at most 200 bytes"
		c.Model = s
	}
	if !ok {
		return fmt.Errorf("%s, not %q", want, s)
	}
	return nil
}

// made says whether a text has nothing but lower-case letters, digits and one sign.
func made(s, sign string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || string(r) == sign) })
}

// whole judges a model whose settings are each in order.
func (l *list) whole(at *yaml.Node, c Config) {
	problem := ""
	switch {
	case c.ID == "":
		problem = "a model needs an id"
	case c.Provider == "":
		problem = fmt.Sprintf("the model %q needs a provider: anthropic or openai", c.ID)
	case c.Model == "":
		problem = fmt.Sprintf("the model %q needs a model: its name, as the provider lists it", c.ID)
	case c.KeyFile != "" && c.KeyEnv != "":
		problem = fmt.Sprintf("the model %q has both key_file and key_env: keep one", c.ID)
	case !c.AllowPrivate && strings.HasPrefix(strings.ToLower(c.BaseURL), "http://"):
		problem = fmt.Sprintf("the model %q is asked over http, which everybody on the way can read: use https, or allow_private for a server of one's own", c.ID)
	case c.KeyFile == "" && c.KeyEnv == "" && (c.Provider == "anthropic" || c.BaseURL == ""):
		problem = fmt.Sprintf("the model %q needs key_file or key_env: only a server of one's own, at a base_url, can do without a key", c.ID)
	}
	if i := slices.IndexFunc(l.configs, func(o Config) bool { return o.ID == c.ID }); problem == "" && i >= 0 {
		problem = fmt.Sprintf("the model id %q is given twice, first at %s: give each its own", c.ID, l.configs[i].Where)
	}
	if problem != "" {
		l.Problem(at, "%s", problem)
		return
	}
	if c.Lens == "" { // the second one looks where the first does not
		c.Lens = []string{"latency", "network"}[len(l.configs)%2]
	}
	l.configs = append(l.configs, c)
}
