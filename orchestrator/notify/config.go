package notify

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/strictyaml"
)

const (
	// MaxChannels is how many channels there can be.
	MaxChannels = 64
	// DefaultTimeout is how long one attempt may take.
	DefaultTimeout = 10 * time.Second
	minTimeout     = time.Second
	maxTimeout     = time.Minute
	maxValue       = 2048
	maxHosts       = 16
)

// Config is one channel as it is configured. It has no secret in it.
type Config struct {
	// ID names the channel: 1 to 63 lower-case letters, digits and hyphens.
	ID   string
	Kind string
	// Tenant is the one whose messages it sends; "" for those of all.
	Tenant string
	// Fallback is the channel to use when this one fails; "" for none.
	Fallback string
	// Timeout is how long one attempt may take.
	Timeout time.Duration
	// AllowPrivate says that it may connect to private addresses, and without TLS.
	AllowPrivate bool
	// AllowHosts are single hosts for which that holds.
	AllowHosts []string
	// Voice says that it calls people up: it is for escalation alone.
	Voice bool
	// Where says where it was configured: FILE:LINE:COL.
	Where string

	settings map[string]string
	secrets  map[string]Secret
}

// Serves says whether the channel sends a tenant's messages.
func (c Config) Serves(tenant string) bool { return c.Tenant == "" || c.Tenant == tenant }

// Open makes the channel that is configured. Nothing is read or sent.
func (c Config) Open(kinds []Kind, outside Outside) (Channel, error) {
	i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == c.Kind })
	if i < 0 {
		return nil, fmt.Errorf("the channel %q is of the kind %q, which there is not", c.ID, c.Kind)
	}
	return kinds[i].New(c, outside)
}

// CheckLink says why the channel cannot bring links that begin like this, or nil.
// The error completes the sentence "The channel …".
func (c Config) CheckLink(kinds []Kind, begins string) error {
	for _, k := range kinds {
		if k.Name == c.Kind && k.CheckLink != nil {
			return k.CheckLink(c, begins)
		}
	}
	return nil
}

// NewConfig is the channel that settings make of a kind, with the defaults for
// what is left out: for a channel that is not read from a document. The keys of
// secrets are without _file and _env. What is wrong is an error, all of it.
func NewConfig(k Kind, id string, settings map[string]string, secrets map[string]Secret, private bool) (Config, error) {
	c := Config{ID: id, Kind: k.Name, Timeout: DefaultTimeout, AllowPrivate: private, Voice: k.Voice, settings: map[string]string{}, secrets: secrets}
	var wrong []string
	for _, s := range k.Settings {
		c.settings[s.Key] = or(settings[s.Key], s.Default)
		if s.Secret {
			continue
		}
		if err := s.judge(c.settings[s.Key], c); err != nil {
			wrong = append(wrong, s.Key+" "+err.Error())
		}
	}
	wrong = append(wrong, c.missing(k)...)
	if len(wrong) > 0 {
		return Config{}, fmt.Errorf("the channel %q cannot be made: %s", id, strings.Join(wrong, "; "))
	}
	return c, nil
}

// judge judges a value that is not empty.
func (s Setting) judge(value string, c Config) error {
	switch {
	case value == "":
		return nil
	case len(value) > maxValue:
		return fmt.Errorf("must have at most %d bytes", maxValue)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("must be one line without control characters")
	case s.Check == nil:
		return nil
	}
	if err := s.Check(value); err != nil {
		return err
	}
	if WebAddress(value) == nil && !c.secure(value) {
		return fmt.Errorf("must begin with https://, or the channel have allow_private: true")
	}
	if u, err := url.Parse(value); err == nil && WebAddress(value) == nil {
		return c.MayReach(u.Hostname())
	}
	return nil
}

// MayReach says why no connection would be made to a host, or nil: better when the
// configuration is read than at night. Names are not looked up.
func (c Config) MayReach(host string) error {
	o := egress.DialOptions{AllowPrivate: c.AllowPrivate, AllowHosts: c.AllowHosts}
	if refused, ok := errors.AsType[*egress.RefusedError](o.Check(host)); ok {
		return fmt.Errorf("leads to %s, which is not connected to: %s", refused.Why, refused.Mend)
	}
	return nil
}

// missing says what a channel lacks whose settings are each in order.
func (c Config) missing(k Kind) []string {
	var wrong []string
	for _, s := range k.Settings {
		switch {
		case !s.Required:
		case s.Secret && !c.secrets[s.Key].Given():
			wrong = append(wrong, fmt.Sprintf("needs %s_file or %s_env in its settings", s.Key, s.Key))
		case !s.Secret && c.settings[s.Key] == "":
			wrong = append(wrong, fmt.Sprintf("needs %s in its settings", s.Key))
		}
	}
	if len(wrong) == 0 && k.Check != nil {
		if err := k.Check(c); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	return wrong
}

// ParseChannels reads the list below "channels:" of a configuration. An unknown
// or repeated key is a problem, as is everything that cannot be used.
func ParseChannels(r *strictyaml.Reader, n *yaml.Node, kinds []Kind) []Config {
	l := &channelList{Reader: r, kinds: kinds}
	if r.Items(n, "channels", "id", MaxChannels, "can be used", l.item) {
		l.fallbacks()
	}
	return l.configs
}
