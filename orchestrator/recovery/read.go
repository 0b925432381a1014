package recovery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/strictyaml"
)

// MaxActions is how many actions a catalogue can have.
const MaxActions = 100

// anyOf among the gates of an action is every gate.
const anyOf = "*"

// defaultBody is sent by an action whose body was left out.
const defaultBody = `{"type":"countersign.action","timestamp":"{{time}}","data":{"action":"{{action}}","incident_id":"{{incident_id}}",` +
	`"tenant":"{{tenant}}","service":"{{service}}","approver":"{{approver}}","reason":"{{reason}}","cause":"{{cause}}"}}`

// newAction has the defaults.
func newAction() Action {
	return Action{
		Method: "POST", Headers: map[string]string{}, SecretHeaders: map[string]SecretHeader{}, Body: defaultBody, Timeout: 10 * time.Second,
		Risk: Medium, Approvals: 1, CoolDown: 30 * time.Minute, Watch: 5 * time.Minute,
	}
}

// ParseList reads the list below "actions:" of a configuration. An unknown or
// repeated key is a problem, as is everything that cannot be used; an action
// with a problem is left out.
func ParseList(r *strictyaml.Reader, n *yaml.Node) Catalogue {
	l := &list{Reader: r}
	r.Items(n, "actions", "name", MaxActions, "can be configured", l.item)
	return l.catalogue
}

type list struct {
	*strictyaml.Reader
	catalogue Catalogue
}

// setting reads one key of an action. The error completes the sentence "KEY …".
type setting struct {
	key  string
	read func(a *Action, n *yaml.Node) error
}

func text(into func(*Action) *string) func(*Action, *yaml.Node) error {
	return func(a *Action, n *yaml.Node) error {
		s, err := textOf(n)
		*into(a) = s
		return err
	}
}

func flag(into func(*Action) *bool) func(*Action, *yaml.Node) error {
	return func(a *Action, n *yaml.Node) error {
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			return fmt.Errorf("must be true or false")
		}
		*into(a) = strings.EqualFold(n.Value, "true")
		return nil
	}
}

func duration(into func(*Action) *time.Duration, low, high time.Duration) func(*Action, *yaml.Node) error {
	return func(a *Action, n *yaml.Node) error {
		d, err := time.ParseDuration(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || d < low || d > high {
			return fmt.Errorf("must be a duration with its unit, from %s to %s", strictyaml.Duration(low), strictyaml.Duration(high))
		}
		*into(a) = d
		return nil
	}
}

func texts(into func(*Action) *[]string) func(*Action, *yaml.Node) error {
	return func(a *Action, n *yaml.Node) error {
		if n.Kind != yaml.SequenceNode || len(n.Content) > 50 {
			return fmt.Errorf("must be a list of at most 50, such as [a, b]")
		}
		var all []string
		for _, item := range n.Content {
			s, err := textOf(strictyaml.Resolve(item))
			if err != nil {
				return fmt.Errorf("has an item that %w", err)
			}
			if slices.Contains(all, s) {
				return fmt.Errorf("has %q twice", s)
			}
			all = append(all, s)
		}
		*into(a) = all
		return nil
	}
}

func textOf(n *yaml.Node) (string, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || strings.TrimSpace(n.Value) == "" {
		return "", fmt.Errorf("must be text")
	}
	return strings.TrimSpace(n.Value), nil
}

// settings are the keys of an action.
func settings() []setting {
	return []setting{
		{"name", text(func(a *Action) *string { return &a.Name })},
		{"title", text(func(a *Action) *string { return &a.Title })},
		{"tenant", text(func(a *Action) *string { return &a.Tenant })},
		{"url", text(func(a *Action) *string { return &a.URL })},
		{"method", text(func(a *Action) *string { return &a.Method })},
		{"headers", readHeaders},
		{"body", readBody},
		{"secret_file", text(func(a *Action) *string { return &a.Secret.File })},
		{"secret_env", text(func(a *Action) *string { return &a.Secret.Env })},
		{"key_id", text(func(a *Action) *string { return &a.Secret.KeyID })},
		{"unsigned", flag(func(a *Action) *bool { return &a.Unsigned })},
		{"idempotent", flag(func(a *Action) *bool { return &a.Idempotent })},
		{"timeout", duration(func(a *Action) *time.Duration { return &a.Timeout }, 100*time.Millisecond, time.Minute)},
		{"allow_private", flag(func(a *Action) *bool { return &a.AllowPrivate })},
		{"allow_hosts", texts(func(a *Action) *[]string { return &a.AllowHosts })},
		{"risk", text(func(a *Action) *string { return (*string)(&a.Risk) })},
		{"approvals", readApprovals},
		{"gates", texts(func(a *Action) *[]string { return &a.Gates })},
		{"causes", texts(func(a *Action) *[]string { return &a.Causes })},
		{"shed", flag(func(a *Action) *bool { return &a.Shed })},
		{"cool_down", duration(func(a *Action) *time.Duration { return &a.CoolDown }, time.Minute, 7*24*time.Hour)},
		{"watch", duration(func(a *Action) *time.Duration { return &a.Watch }, 10*time.Second, time.Hour)},
	}
}

func (l *list) item(at *yaml.Node) {
	n := strictyaml.Resolve(at)
	if n.Kind != yaml.MappingNode {
		l.Problem(at, "an action must have its keys on lines of their own: name, url, gates or causes, and secret_file or secret_env")
		return
	}
	known := settings()
	a, sound, places := newAction(), true, map[string]*yaml.Node{"": at}
	a.Where = l.Where(at)
	l.Pairs(n, func(key, value *yaml.Node) {
		i := slices.IndexFunc(known, func(s setting) bool { return s.key == key.Value })
		if i < 0 {
			l.unknown(key, known)
			sound = false
			return
		}
		places[key.Value] = value
		if err := known[i].read(&a, value); err != nil {
			l.Problem(value, "%s %v", key.Value, err)
			sound = false
		}
	})
	if !sound {
		return
	}
	if a.Title == "" {
		a.Title = a.Name
	}
	faults := a.faults()
	if i := slices.IndexFunc(l.catalogue, func(o Action) bool { return o.Name == a.Name }); i >= 0 {
		faults = append(faults, fault{"name", fmt.Sprintf("is that of another action, at %s: give each its own", l.catalogue[i].Where)})
	}
	for _, f := range faults {
		place, said := places[f.key]
		if !said {
			place = at
		}
		l.Problem(place, "%s %s", f.key, f.text)
	}
	if len(faults) == 0 {
		l.catalogue = append(l.catalogue, a)
	}
}

func (l *list) unknown(key *yaml.Node, known []setting) {
	if key.Value == "secret" {
		l.Problem(key, "a secret has no place in this file: give secret_file, or secret_env with the name of a variable")
		return
	}
	var names []string
	for _, s := range known {
		names = append(names, s.key)
	}
	l.Problem(key, "unknown key %q of an action%s", plain.Line(key.Value, 64), strictyaml.Unknown(key.Value, names))
}

func readApprovals(a *Action, n *yaml.Node) error {
	count, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil || count < 1 || count > 5 {
		return fmt.Errorf("must be a number from 1 to 5")
	}
	a.Approvals = count
	return nil
}

// readBody takes a body as it stands, and the empty one too.
func readBody(a *Action, n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return fmt.Errorf("must be text: put it in quotes, or below it after a |")
	}
	a.Body = n.Value
	return nil
}

// readHeaders takes texts, and mappings for those with a secret. What is wrong
// with a name or value is found by faults.
func readHeaders(a *Action, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("must hold names with their values")
	}
	if len(n.Content) > 2*maxHeaders {
		return fmt.Errorf("must be at most %d", maxHeaders)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := strictyaml.Resolve(n.Content[i]), strictyaml.Resolve(n.Content[i+1])
		name := key.Value
		if key.Kind != yaml.ScalarNode || !isToken(name) {
			return fmt.Errorf("has a name that is none: letters, digits and hyphens can be in it")
		}
		if slices.ContainsFunc(a.headerNames(), func(other string) bool { return sameHeader(name, other) }) {
			return fmt.Errorf("has %s twice", name)
		}
		if value.Kind == yaml.MappingNode {
			h, err := readSecretHeader(value)
			if err != nil {
				return fmt.Errorf("has %s, which %w", name, err)
			}
			a.SecretHeaders[name] = h
			continue
		}
		if value.Kind != yaml.ScalarNode || strictyaml.IsNull(value) {
			return fmt.Errorf("has %s, which must be text, or have secret_file or secret_env", name)
		}
		a.Headers[name] = strings.TrimSpace(value.Value)
	}
	return nil
}

func readSecretHeader(n *yaml.Node) (SecretHeader, error) {
	var h SecretHeader
	into := map[string]*string{"secret_file": &h.Secret.File, "secret_env": &h.Secret.Env, "key_id": &h.Secret.KeyID, "prefix": &h.Prefix}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := strictyaml.Resolve(n.Content[i]), strictyaml.Resolve(n.Content[i+1])
		field := into[key.Value]
		if field == nil || *field != "" || value.Kind != yaml.ScalarNode || value.ShortTag() != "!!str" || value.Value == "" {
			return h, fmt.Errorf("can have secret_file or secret_env, prefix and key_id, each once and each a text")
		}
		*field = value.Value
	}
	return h, nil
}
