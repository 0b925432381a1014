package recovery

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/strictyaml"
)

// Vars are what the variables of a template stand for. Texts may be of any
// origin: they are made one line, cut to 500 characters, and written so that
// they stay within the place they stand in.
type Vars struct {
	IncidentID, Tenant, Service string
	// Approver is who authorized it, Requester who asked.
	Approver, Requester string
	// Reason is why the incident is open, Cause what was found likely.
	Reason, Cause string
	// Time is when it was authorized. It must be the same in every try.
	Time time.Time
}

// Variables are the names that a template can have, in the order of the
// documentation.
var Variables = []string{
	"incident_id", "tenant", "service", "action", "approver", "requester", "reason", "cause", "time", "key",
}

// later are the variables that may not be known before the action is run.
var later = []string{"approver", "time", "key"}

const maxValue = 500

// values are those of the variables by name.
func (v Vars) values(action, key string) map[string]string {
	values := map[string]string{
		"incident_id": v.IncidentID, "tenant": v.Tenant, "service": v.Service, "action": action, "approver": v.Approver,
		"requester": v.Requester, "reason": v.Reason, "cause": v.Cause, "time": "", "key": key,
	}
	for name, value := range values {
		values[name] = plain.Line(value, maxValue)
	}
	if !v.Time.IsZero() {
		values["time"] = v.Time.UTC().Truncate(time.Second).Format(time.RFC3339)
	}
	return values
}

// part is a piece of a template: a text, or a variable.
type part struct{ text, variable string }

// parseTemplate takes a template apart. {{name}} is a variable, with or without
// spaces inside; there is nothing else. The error completes the sentence "KEY …".
func parseTemplate(text string) ([]part, error) {
	var parts []part
	for {
		before, rest, found := strings.Cut(text, "{{")
		if before != "" {
			parts = append(parts, part{text: before})
		}
		if !found {
			return parts, nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		name = strings.Trim(name, " ")
		switch {
		case !closed:
			return nil, fmt.Errorf("has a variable that does not end: write {{incident_id}}")
		case !slices.Contains(Variables, name):
			if near := strictyaml.DidYouMean(name, Variables); near != "" {
				return nil, fmt.Errorf("has a variable that there is not, %q%s", plain.Line(name, 40), near)
			}
			return nil, fmt.Errorf("has a variable that there is not, %q: there are %s", plain.Line(name, 40), strings.Join(Variables, ", "))
		}
		parts = append(parts, part{variable: name})
		text = after
	}
}

// expand puts values in the place of variables, as write has them. A value in
// open stays a variable while it is empty.
func expand(parts []part, values map[string]string, write func(string) string, open []string) string {
	var b strings.Builder
	for _, p := range parts {
		switch value := values[p.variable]; {
		case p.variable == "":
			b.WriteString(p.text)
		case value == "" && slices.Contains(open, p.variable):
			b.WriteString("{{" + p.variable + "}}")
		default:
			b.WriteString(write(value))
		}
	}
	return b.String()
}

// writerFor says how a value is written in a body of that content type, so that
// it is a value there whatever is in it. Of a type that is not known no way is:
// a catalogue has no variables there.
func writerFor(contentType string) (write func(string) string, known bool) {
	switch media := mediaType(contentType); {
	case isJSON(contentType):
		return inJSON, true
	case media == "application/x-www-form-urlencoded":
		return url.QueryEscape, true
	case strings.HasSuffix(media, "/xml"), strings.HasSuffix(media, "+xml"), media == "text/html":
		return inXML.Replace, true
	case media == "text/plain": // where there is nothing but lines, and a value is one
		return func(s string) string { return s }, true
	}
	return inJSON, false
}

func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

func isJSON(contentType string) bool {
	media := mediaType(contentType)
	return strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")
}

var inXML = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")

// inJSON writes s as it stands between the quotes of a JSON string. There are no
// control characters in it.
func inJSON(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "<", `\u003c`, ">", `\u003e`, "&", `\u0026`).Replace(s)
}

// inHeader keeps what the value of a header can have.
func inHeader(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
