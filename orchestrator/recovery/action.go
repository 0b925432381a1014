package recovery

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/egress"
)

// Risk is how much can go wrong with an action.
type Risk string

// The risks.
const (
	Low    Risk = "low"
	Medium Risk = "medium"
	High   Risk = "high"
)

// Valid says whether r is one of the risks.
func (r Risk) Valid() bool { return r == Low || r == Medium || r == High }

// Secret says where a secret is, and never has it.
type Secret struct {
	// File or Env is the file or environment variable with it; one of them is set.
	File, Env string
	// KeyID names the secret where that must be told, such as in the digest.
	KeyID string
}

// ID is the name of the secret: KeyID, else the place it comes from.
func (s Secret) ID() string {
	switch {
	case s.KeyID != "":
		return s.KeyID
	case s.File != "":
		return "file:" + s.File
	case s.Env != "":
		return "env:" + s.Env
	}
	return ""
}

// SecretHeader is the value of a header with a secret in it.
type SecretHeader struct {
	// Prefix comes before the secret, such as "Bearer ".
	Prefix string
	Secret Secret
}

// Action is one thing that can be done about an incident. There is no secret in
// it, so that it can be logged and recorded.
type Action struct {
	// Name is 1 to 63 lower-case letters, digits and hyphens, and the action's own.
	Name string
	// Title is what people read; the name when it was left out.
	Title string
	// Tenant is whose incidents it is for; the sidecar's own when empty.
	Tenant string

	// URL is http or https, without user, fragment and variables.
	URL string
	// Method is POST, PUT, PATCH or DELETE.
	Method string
	// Headers may have variables in their values. Content-Type says how those in
	// the body are written.
	Headers map[string]string
	// SecretHeaders are those with a secret in them.
	SecretHeaders map[string]SecretHeader
	// Body is a text with variables, such as {{incident_id}}; see [Variables].
	Body string
	// Secret signs the request, unless Unsigned.
	Secret   Secret
	Unsigned bool
	// Idempotent says that the other side does a thing once, however often it
	// gets it with the same Idempotency-Key: a request may then be sent again
	// when it is not known what became of it.
	Idempotent bool
	// Timeout is of one try, 100 ms to 60 s.
	Timeout time.Duration
	// AllowPrivate and AllowHosts are those of [egress.HTTPOptions].
	AllowPrivate bool
	AllowHosts   []string

	// Risk is shown to who decides; Approvals is how many different people must
	// agree, 1 to 5.
	Risk      Risk
	Approvals int

	// Gates and Causes propose it, one of each that is not empty; "*" is any
	// gate. Shed says that it sheds load.
	Gates, Causes []string
	Shed          bool
	// CoolDown is how long it is not proposed after it was run, 1 minute to 7
	// days.
	CoolDown time.Duration
	// Watch is how long the service has to be healthy again after it was run, 10
	// seconds to 1 hour; see [Action.Judge].
	Watch time.Duration

	// Where says where it was configured: FILE:LINE:COL.
	Where string
}

// Catalogue is the actions that there are, in the order of preference.
type Catalogue []Action

// Find returns the action of that digest, which is one that was authorized; none
// when the catalogue has changed since.
func (c Catalogue) Find(digest string) (Action, bool) {
	for _, a := range c {
		if a.Digest() == digest {
			return a, true
		}
	}
	return Action{}, false
}

// For are the actions of the catalogue for a tenant, which may be the own one.
func (c Catalogue) For(tenant string, own bool) Catalogue {
	var list Catalogue
	for _, a := range c {
		if a.isFor(tenant, own) {
			list = append(list, a)
		}
	}
	return list
}

// isFor says whether the action is for a tenant, which may be the own one.
func (a Action) isFor(tenant string, own bool) bool {
	return a.Tenant == "" && own || a.Tenant != "" && a.Tenant == tenant
}

// HTTP is how a [egress.Gate] must send the action.
func (a Action) HTTP() egress.HTTPOptions {
	return egress.HTTPOptions{
		Timeout: a.Timeout, AllowPrivate: a.AllowPrivate, AllowHosts: slices.Clone(a.AllowHosts), MaxResponse: maxResponse,
	}
}

// CheckSecrets reads the secrets that the action needs, and says which cannot be
// used and why. It is for finding that before there is an incident.
func (a Action) CheckSecrets(getenv func(string) string) error {
	_, err := a.load(getenv)
	return err
}

// contentType is that of the body.
func (a Action) contentType() string {
	for name, value := range a.Headers {
		if sameHeader(name, "Content-Type") {
			return value
		}
	}
	return jsonType
}

// headerNames are those of the plain and the secret headers, in order.
func (a Action) headerNames() []string {
	names := slices.Collect(maps.Keys(a.Headers))
	names = append(names, slices.Collect(maps.Keys(a.SecretHeaders))...)
	slices.Sort(names)
	return names
}

// Result is what has become of an action that was run.
type Result string

// The results.
const (
	// Watching is as long as the action has time to have its effect.
	Watching Result = "watching"
	Resolved Result = "resolved"
	Failed   Result = "failed"
)

// Judge says what has become of the action that was run at executed: it has
// resolved the incident when the policy says within Watch that the service is
// healthy, and has failed when it does not. The sentence says why.
func (a Action) Judge(executed, now time.Time, healthy bool) (Result, string) {
	took := max(0, now.Sub(executed)).Round(time.Second)
	switch {
	case healthy:
		return Resolved, fmt.Sprintf("the service is healthy again %s after %s was run", brief(took), a.Name)
	case took < a.Watch:
		return Watching, fmt.Sprintf("%s was run %s ago and has %s to have its effect", a.Name, brief(took), brief(a.Watch))
	}
	return Failed, fmt.Sprintf("the service is still not healthy %s after %s was run", brief(took), a.Name)
}
