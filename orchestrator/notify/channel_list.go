package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/strictyaml"
)

// channelList reads channels.
type channelList struct {
	*strictyaml.Reader
	kinds   []Kind
	configs []Config
	at      []*yaml.Node // where each is
}

// channelKeys are those of a channel.
var channelKeys = []string{"id", "kind", "tenant", "fallback", "timeout", "allow_private", "allow_hosts", "settings"}

func (l *channelList) item(at *yaml.Node) {
	n := strictyaml.Resolve(at)
	if n.Kind != yaml.MappingNode {
		l.Problem(at, "a channel must have its keys on lines of their own: id, kind, settings and, if you like, tenant, fallback, timeout, allow_private, allow_hosts")
		return
	}
	c := Config{Where: l.Where(at), Timeout: DefaultTimeout, settings: map[string]string{}, secrets: map[string]Secret{}}
	var settings *yaml.Node
	sound := true
	l.Pairs(n, func(key, value *yaml.Node) {
		if key.Value == "settings" {
			settings = value
			return
		}
		sound = l.key(&c, key, value) && sound
	})
	if sound {
		if k, ok := l.identity(at, &c); ok && l.settings(&c, k, settings) {
			l.whole(at, k, c)
		}
	}
	// One with mistakes is kept too, so that whoever names it makes no other: a
	// document with a mistake is not used.
	if c.ID != "" && !slices.ContainsFunc(l.configs, func(o Config) bool { return o.ID == c.ID }) {
		l.configs, l.at = append(l.configs, c), append(l.at, at)
	}
}

// key reads one key of a channel, and says whether nothing is wrong with it.
func (l *channelList) key(c *Config, key, value *yaml.Node) bool {
	texts := map[string]*string{"id": &c.ID, "kind": &c.Kind, "tenant": &c.Tenant, "fallback": &c.Fallback}
	switch key.Value {
	case "timeout":
		d, err := time.ParseDuration(value.Value)
		if value.Kind != yaml.ScalarNode || err != nil || d < minTimeout || d > maxTimeout {
			l.Problem(value, "timeout must be from %s to %s, such as 10s", strictyaml.Duration(minTimeout), strictyaml.Duration(maxTimeout))
			return false
		}
		c.Timeout = d
		return true
	case "allow_hosts":
		return l.hosts(c, value)
	case "allow_private":
		if value.Kind != yaml.ScalarNode || value.ShortTag() != "!!bool" || value.Decode(&c.AllowPrivate) != nil {
			l.Problem(value, "allow_private must be true or false")
			return false
		}
		return true
	}
	into, known := texts[key.Value]
	if !known {
		return l.unknown(key, "of a channel", channelKeys)
	}
	text, ok := l.text(key.Value, value)
	if ok && key.Value != "kind" && !validID(text) {
		l.Problem(value, "%s must be 1 to 63 lower-case letters, digits and hyphens, not %q", key.Value, plain.Line(text, 80))
		return false
	}
	*into = text
	return ok
}

func (l *channelList) hosts(c *Config, value *yaml.Node) bool {
	sound := value.Kind == yaml.SequenceNode && len(value.Content) <= maxHosts
	for _, item := range value.Content {
		text, ok := l.text("a host", strictyaml.Resolve(item))
		sound = sound && ok && !strings.ContainsAny(text, "/@ ")
		c.AllowHosts = append(c.AllowHosts, text)
	}
	if !sound {
		l.Problem(value, "allow_hosts must be a list of at most %d names or addresses of hosts, such as [alertmanager.monitoring]", maxHosts)
	}
	return sound
}

func (l *channelList) unknown(key *yaml.Node, of string, known []string) bool {
	l.Problem(key, "unknown key %q %s%s", plain.Line(key.Value, 80), of, strictyaml.Unknown(key.Value, known))
	return false
}

// text reads a value that must be text, or a number where that is what was
// meant.
func (l *channelList) text(key string, value *yaml.Node) (string, bool) {
	if value.Kind != yaml.ScalarNode || strictyaml.IsNull(value) || strings.TrimSpace(value.Value) == "" {
		l.Problem(value, "%s must be text", key)
		return "", false
	}
	switch value.ShortTag() {
	case "!!str":
		return strings.TrimSpace(value.Value), true
	case "!!int":
		// A number that YAML would write another way is not what was meant.
		if strings.Trim(value.Value, "+-0123456789") == "" {
			return value.Value, true
		}
	}
	l.Problem(value, "%s must be text: put it in quotes", key)
	return "", false
}

// identity judges id and kind, and finds the kind.
func (l *channelList) identity(at *yaml.Node, c *Config) (Kind, bool) {
	names := make([]string, len(l.kinds))
	for i, k := range l.kinds {
		names[i] = k.Name
	}
	switch i := slices.Index(names, c.Kind); {
	case c.ID == "":
		l.Problem(at, "a channel needs an id")
	case c.Kind == "":
		l.Problem(at, "the channel %q needs a kind: one of %s", c.ID, strings.Join(names, ", "))
	case i < 0:
		hint := "; there are " + strings.Join(names, ", ")
		if near, ok := strictyaml.Nearest(c.Kind, names); ok {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		l.Problem(at, "the channel %q has the unknown kind %q%s", c.ID, plain.Line(c.Kind, 80), hint)
	default:
		c.Voice = l.kinds[i].Voice
		return l.kinds[i], true
	}
	return Kind{}, false
}

// settings reads what is below "settings:", and puts defaults where nothing is.
func (l *channelList) settings(c *Config, k Kind, n *yaml.Node) bool {
	sound := true
	switch {
	case n == nil || strictyaml.IsNull(n):
	case n.Kind != yaml.MappingNode:
		l.Problem(n, "settings must have its keys on lines of their own")
		return false
	default:
		l.Pairs(n, func(key, value *yaml.Node) { sound = l.setting(c, k, key, value) && sound })
	}
	for _, s := range k.Settings {
		if c.settings[s.Key] == "" && s.Default != "" {
			c.settings[s.Key] = s.Default
		}
	}
	return sound
}

func (l *channelList) setting(c *Config, k Kind, key, value *yaml.Node) bool {
	var known []string
	for _, s := range k.Settings {
		if !s.Secret {
			if s.Key == key.Value {
				return l.plain(c, s, value)
			}
			known = append(known, s.Key)
			continue
		}
		switch key.Value {
		case s.Key:
			l.Problem(key, "a secret has no place in this file: give %s_file, or %s_env with the name of a variable", s.Key, s.Key)
			return false
		case s.Key + "_file", s.Key + "_env":
			return l.secret(c, s, key, value)
		}
		known = append(known, s.Key+"_file", s.Key+"_env")
	}
	return l.unknown(key, "in the settings of a channel of the kind "+k.Name, known)
}

func (l *channelList) plain(c *Config, s Setting, value *yaml.Node) bool {
	text, ok := l.text(s.Key, value)
	if !ok {
		return false
	}
	if err := s.judge(text, *c); err != nil {
		l.Problem(value, "%s %v", s.Key, err)
		return false
	}
	c.settings[s.Key] = text
	return true
}

func (l *channelList) secret(c *Config, s Setting, key, value *yaml.Node) bool {
	text, ok := l.text(key.Value, value)
	if !ok {
		return false
	}
	secret := Secret{File: text}
	if strings.HasSuffix(key.Value, "_env") {
		secret = Secret{Env: text}
		if !validVariable(text) {
			l.Problem(value, "%s must be the name of an environment variable, and not the secret itself", key.Value)
			return false
		}
	}
	if c.secrets[s.Key].Given() {
		l.Problem(key, "there are both %s_file and %s_env: keep one", s.Key, s.Key)
		return false
	}
	c.secrets[s.Key] = secret
	return true
}

// whole judges a channel whose settings are each in order.
func (l *channelList) whole(at *yaml.Node, k Kind, c Config) {
	for _, text := range c.missing(k) {
		l.Problem(at, "the channel %q %s", c.ID, text)
	}
	if i := slices.IndexFunc(l.configs, func(o Config) bool { return o.ID == c.ID }); i >= 0 {
		l.Problem(at, "the channel id %q is given twice, first at %s: give each channel its own", c.ID, l.configs[i].Where)
	}
}

// fallbacks judges to which channels others fall back.
func (l *channelList) fallbacks() {
	for i, c := range l.configs {
		if c.Fallback == "" {
			continue
		}
		j := slices.IndexFunc(l.configs, func(o Config) bool { return o.ID == c.Fallback })
		switch {
		case j < 0:
			l.Problem(l.at[i], "the channel %q falls back to %q, which there is not", c.ID, c.Fallback)
		case l.configs[j].Tenant != "" && l.configs[j].Tenant != c.Tenant:
			l.Problem(l.at[i], "the channel %q falls back to %q, which is another tenant's", c.ID, c.Fallback)
		case l.circular(i):
			l.Problem(l.at[i], "the channel %q falls back to itself in the end: break the circle", c.ID)
		}
	}
}

func (l *channelList) circular(from int) bool {
	i := from
	for range l.configs {
		next := slices.IndexFunc(l.configs, func(o Config) bool { return o.ID == l.configs[i].Fallback })
		if next < 0 {
			return false
		}
		if next == from {
			return true
		}
		i = next
	}
	return false
}

// validID says whether s can be an id.
func validID(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// validVariable says whether s can be the name of a variable.
func validVariable(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
