package recovery

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// FuzzTemplate fills whatever passes as a body or header with whatever stands
// for a service: JSON must stay JSON with as many values in it, a header one
// header.
func FuzzTemplate(f *testing.F) {
	f.Add(`{"a":"{{service}}"}`, `x","b":"y`)
	f.Add(`{"a":"{{ service }}","b":{"c":1}}`, "\\")
	f.Add(`["{{service}}{{cause}}"]`, "\r\nX: y")
	f.Add("{{service", "a")
	f.Add("\"\\u00{{service}}\"", "41")
	f.Fuzz(func(t *testing.T, template, value string) {
		a := restart()
		a.Body, a.Headers = template, map[string]string{"X-A": template}
		v := someVars()
		v.Service, v.Cause, v.IncidentID, v.Approver, v.Reason, v.Requester, v.Tenant = value, value, value, value, value, value, value
		parts, err := parseTemplate(template)
		if err == nil {
			var again strings.Builder
			for _, p := range parts {
				if p.variable != "" {
					p.text = "{{" + p.variable + "}}"
				}
				again.WriteString(p.text)
			}
			if second, err := parseTemplate(again.String()); err != nil || !slices.Equal(parts, second) {
				t.Fatalf("%q is read otherwise when it is written again: %v", template, err)
			}
		}
		m := a.message(v, "key")
		if a.bodyFault() == "" && template != "" {
			plain := a.message(someVars(), "key")
			if !json.Valid([]byte(m.body)) || count(t, m.body) != count(t, plain.body) {
				t.Fatalf("%q filled with %q is %q", template, value, m.body)
			}
		}
		if len(a.headerFaults()) == 0 {
			for _, h := range m.fields {
				if !isHeaderText(h.Value) || h.Name != http.CanonicalHeaderKey(h.Name) {
					t.Fatalf("the header %q is %q", h.Name, h.Value)
				}
			}
		}
	})
}

// count is how many tokens a JSON text has.
func count(t *testing.T, text string) int {
	t.Helper()
	d, n := json.NewDecoder(strings.NewReader(text)), 0
	for {
		if _, err := d.Token(); err != nil {
			return n
		}
		n++
	}
}

// FuzzParseList reads any text as a catalogue: what is taken can be shown and
// hashed, and has nothing that a request could not be made of.
func FuzzParseList(f *testing.F) {
	f.Add(wholeAction)
	f.Add("- {name: a, url: 'https://x.example/', secret_env: KEY, gates: ['*']}")
	f.Add("- &a {name: a}\n- *a\n")
	f.Add("- {name: a, headers: {A: {secret_env: B}}, headers: 1}")
	f.Add("- [")
	f.Fuzz(func(t *testing.T, text string) {
		catalogue, problems := read(text)
		for _, line := range strings.Split(strings.TrimSuffix(problems, "\n"), "\n") {
			if problems != "" && !strings.HasPrefix(line, "f:") {
				t.Fatalf("a problem without its place: %q", line)
			}
		}
		for _, a := range catalogue {
			if faults := a.faults(); len(faults) > 0 {
				t.Fatal(faults)
			}
			if found, ok := catalogue.Find(a.Digest()); !ok || found.Name != a.Name || a.Title == "" || a.Approvals < 1 {
				t.Fatalf("%+v", a)
			}
			p := a.Preview(someVars())
			req, err := http.NewRequest(p.Method, p.URL, strings.NewReader(p.Body))
			if err != nil || req.URL.User != nil || req.URL.Host == "" {
				t.Fatalf("%+v: %v", a, err)
			}
			for _, h := range p.Headers {
				if h.Name == "" || strings.ContainsAny(h.Value, "\r\n") {
					t.Fatalf("%q", h)
				}
			}
		}
	})
}
