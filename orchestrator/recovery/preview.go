package recovery

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

const mask = "••••••••"

// Field is a header as it is shown or sent.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Preview is exactly what will be sent, but for secrets, which are masked, and
// what only the moment of sending knows: the time, the signature, and the
// variables that were not known yet, which stand as {{name}}. Its texts are
// plain: who shows them in a page must escape them.
type Preview struct {
	Method  string  `json:"method"`
	URL     string  `json:"url"`
	Headers []Field `json:"headers"` // by name
	Body    string  `json:"body"`
	// Digest is the action's.
	Digest string `json:"action_digest"`
	// RequestDigest is that of the receipt when just this is sent; empty while
	// something is not known yet.
	RequestDigest string `json:"request_digest,omitempty"`
}

// Preview shows what the action would send.
func (a Action) Preview(v Vars) Preview {
	m := a.message(v, Key(v.IncidentID, a.Digest()))
	p := Preview{Method: a.Method, URL: a.URL, Body: m.body, Digest: a.Digest()}
	if v.complete() == nil {
		p.RequestDigest = m.digest()
	}
	p.Headers = append(p.Headers, m.fields...)
	for _, name := range slices.Sorted(maps.Keys(a.SecretHeaders)) {
		p.Headers = append(p.Headers, Field{canonicalHeader(name), a.SecretHeaders[name].Prefix + mask})
	}
	if !a.Unsigned {
		p.Headers = append(p.Headers,
			Field{headerTimestamp, "(the time of sending)"},
			Field{headerSignature, fmt.Sprintf("v1,%s (by the key %s)", mask, plain.Line(a.Secret.ID(), maxValue))},
		)
	}
	slices.SortFunc(p.Headers, func(x, y Field) int { return strings.Compare(x.Name, y.Name) })
	return p
}

// Key is the idempotency key of an action for an incident: the same in every
// try and after every restart. It is empty without an incident.
func Key(incidentID, digest string) string {
	if incidentID == "" {
		return ""
	}
	digits := strings.TrimPrefix(digest, digestPrefix)
	return incidentID + "-" + digits[:min(len(digits), 16)]
}

// isKey says whether s can be sent as an idempotency key. A full stop cannot be
// in it: it separates what is signed.
func isKey(s string) bool {
	return s != "" && len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '-' && r != '_'
	})
}

// Request is a JSON document of what is sent for v and key, but for secrets,
// timestamp and signature. It is fit for evidence: its SHA-256 is the receipt's
// RequestDigest.
func (a Action) Request(v Vars, key string) []byte { return a.message(v, key).canonical }

// message is a request but for its secrets and the time of sending.
type message struct {
	fields    []Field
	body      string
	canonical []byte
}

func (m message) digest() string { return digestOf(m.canonical) }

// message writes the request. Templates are those that were found sound when the
// catalogue was read; one that is not is sent as it stands.
func (a Action) message(v Vars, key string) message {
	values := v.values(a.Name, key)
	write, _ := writerFor(a.contentType())
	m := message{body: fill(a.Body, values, write)}
	names := map[string]bool{}
	for name, value := range a.Headers {
		names[canonicalHeader(name)] = true
		m.fields = append(m.fields, Field{canonicalHeader(name), fill(value, values, inHeader)})
	}
	m.add(names, headerContentType, jsonType)
	m.add(names, "User-Agent", "countersign")
	m.fields = append(m.fields, Field{headerKey, orOpen(key)})
	if !a.Unsigned {
		m.fields = append(m.fields, Field{headerID, orOpen(key)})
	}
	slices.SortFunc(m.fields, func(x, y Field) int { return strings.Compare(x.Name, y.Name) })
	m.canonical = canonical(struct {
		Type    string  `json:"type"`
		Action  string  `json:"action"`
		Method  string  `json:"method"`
		URL     string  `json:"url"`
		Headers []Field `json:"headers"`
		Body    string  `json:"body"`
	}{"countersign request v1", a.Digest(), a.Method, a.URL, m.fields, m.body})
	return m
}

func (m *message) add(given map[string]bool, name, value string) {
	if !given[name] {
		m.fields = append(m.fields, Field{name, value})
	}
}

func orOpen(key string) string {
	if key == "" {
		return "{{key}}"
	}
	return key
}

func fill(template string, values map[string]string, write func(string) string) string {
	parts, err := parseTemplate(template)
	if err != nil {
		return template
	}
	return expand(parts, values, write, later)
}

// complete says what is missing before something can be sent.
func (v Vars) complete() error {
	for _, must := range []struct{ name, value string }{
		{"the incident's id", v.IncidentID}, {"a tenant", v.Tenant}, {"a service", v.Service}, {"an approver", v.Approver},
	} {
		if plain.Line(must.value, maxValue) == "" {
			return fmt.Errorf("an action cannot be run without %s", must.name)
		}
	}
	if v.Time.IsZero() {
		return fmt.Errorf("an action cannot be run without the time when it was authorized")
	}
	return nil
}
