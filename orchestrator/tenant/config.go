package tenant

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/strictyaml"
)

const (
	// MaxTenants is how many services one orchestrator watches from afar.
	MaxTenants = 64
	// defaultPath is where both kinds of document are usually served.
	defaultPath = "/health/alerts"
	maxService  = 200
)

// Config is one remote tenant.
type Config struct {
	// ID names it in paths and entries: 1 to 63 lower-case letters, digits and
	// hyphens.
	ID string
	// Service is the name of what is watched; the ID when it was left out.
	Service string
	// HealthURL is where its health document is, http or https.
	HealthURL string
	// SecretFile or SecretEnv say where its secret is; at most one is set.
	SecretFile, SecretEnv string
	// Where says where it was configured: FILE:LINE:COL.
	Where string
}

// String names the tenant and where it is asked, without what the URL's query
// says: that may be a secret, and this is logged.
func (c Config) String() string {
	where, _, asks := strings.Cut(c.HealthURL, "?")
	if asks {
		where += "?…"
	}
	return c.ID + " at " + where
}

// Same says whether both are the same tenant with the same settings, wherever
// they stand in a file.
func (c Config) Same(other Config) bool {
	c.Where = other.Where
	return c == other
}

var (
	idPattern  = regexp.MustCompile(`^[a-z0-9-]+$`)
	envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// ValidID says whether s can be the id of a tenant. The word webhook cannot:
// the paths of the admin API have it in the same place.
func ValidID(s string) bool { return len(s) <= 63 && idPattern.MatchString(s) && s != "webhook" }

// ParseList reads the list below "tenants:" of a configuration. An unknown or
// repeated key is a problem, as is everything that cannot be used.
func ParseList(r *strictyaml.Reader, n *yaml.Node) []Config {
	l := &list{Reader: r}
	r.Items(n, "tenants", "id", MaxTenants, "can be watched from one place", l.item)
	return l.configs
}

// CheckOwn says which remote tenants have the id of the own one.
func CheckOwn(tenants []Config, own string) []strictyaml.Problem {
	var found []strictyaml.Problem
	for _, c := range tenants {
		if c.ID == own {
			found = append(found, strictyaml.Problem{
				Where: c.Where, Text: fmt.Sprintf("the tenant id %q is that of the own service: choose another", own),
			})
		}
	}
	return found
}

type list struct {
	*strictyaml.Reader
	configs []Config
}

// keys are those of a tenant.
var keys = []string{"id", "service", "health_url", "secret_file", "secret_env"}

func (l *list) item(at *yaml.Node) {
	n := strictyaml.Resolve(at)
	if n.Kind != yaml.MappingNode {
		l.Problem(at, "a tenant must have its keys on lines of their own: id, health_url and, if you like, service and secret_file or secret_env")
		return
	}
	c := Config{Where: l.Where(at)}
	sound := true
	l.Pairs(n, func(key, value *yaml.Node) { sound = l.setting(&c, key, value) && sound })
	if sound {
		l.whole(at, c)
	}
}

// setting reads one key of a tenant, and says whether nothing is wrong with it.
func (l *list) setting(c *Config, key, value *yaml.Node) bool {
	settings := map[string]*string{
		"id": &c.ID, "service": &c.Service, "health_url": &c.HealthURL, "secret_file": &c.SecretFile, "secret_env": &c.SecretEnv,
	}
	into, known := settings[key.Value]
	switch {
	case key.Value == "secret":
		l.Problem(key, "a secret has no place in this file: give secret_file, or secret_env with the name of a variable")
		return false
	case !known:
		l.Problem(key, "unknown key %q of a tenant%s", key.Value, strictyaml.Unknown(key.Value, keys))
		return false
	case value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" || strings.TrimSpace(value.Value) == "":
		l.Problem(value, "%s must be text", key.Value)
		return false
	}
	*into = strings.TrimSpace(value.Value)
	if err := checkSetting(key.Value, into); err != nil {
		l.Problem(value, "%s %v", key.Value, err)
		return false
	}
	return true
}

// checkSetting judges one setting, and completes a URL. The error completes
// the sentence "KEY …".
func checkSetting(key string, value *string) error {
	switch s := *value; key {
	case "id":
		if s == "webhook" {
			return fmt.Errorf("cannot be %q, which the admin API has another use for", s)
		}
		if !ValidID(s) {
			return fmt.Errorf("must be 1 to 63 lower-case letters, digits and hyphens, not %q", s)
		}
	case "service":
		if len(s) > maxService {
			return fmt.Errorf("must have at most %d bytes", maxService)
		}
	case "health_url":
		whole, err := healthURL(s)
		if err != nil {
			return err
		}
		*value = whole
	case "secret_env":
		if !envPattern.MatchString(s) {
			return fmt.Errorf("must be the name of an environment variable, and not the secret itself")
		}
	}
	return nil
}

// healthURL completes the URL of a health document. What is wrong with it is
// said without it: it may have a password in it.
func healthURL(s string) (string, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "", fmt.Errorf("must be a URL such as https://shop.example%s", defaultPath)
	case u.User != nil:
		return "", fmt.Errorf("must have no user or password in it: give the secret with secret_file or secret_env")
	case u.Fragment != "":
		return "", fmt.Errorf("must have no fragment (#…)")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = defaultPath
	}
	return u.String(), nil
}

// whole judges a tenant whose settings are each in order.
func (l *list) whole(at *yaml.Node, c Config) {
	switch {
	case c.ID == "":
		l.Problem(at, "a tenant needs an id")
		return
	case c.HealthURL == "":
		l.Problem(at, "the tenant %q needs a health_url", c.ID)
		return
	case c.SecretFile != "" && c.SecretEnv != "":
		l.Problem(at, "the tenant %q has both secret_file and secret_env: keep one", c.ID)
		return
	}
	if i := slices.IndexFunc(l.configs, func(o Config) bool { return o.ID == c.ID }); i >= 0 {
		l.Problem(at, "the tenant id %q is given twice, first at %s: give each tenant its own", c.ID, l.configs[i].Where)
		return
	}
	if c.Service == "" {
		c.Service = c.ID
	}
	l.configs = append(l.configs, c)
}
