package change

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// maxBatch is how many events a batch may have.
const maxBatch = 100

// cloudEvent is an event of CloudEvents 1.0, with the attributes that tell of
// a change. Extensions are allowed and not looked at.
//
// Formats: https://github.com/cloudevents/spec, the JSON event format and the
// HTTP protocol binding, 1.0.2.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            string          `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	Data            json.RawMessage `json:"data"`
	DataBase64      string          `json:"data_base64"`
}

func structuredEvent(body []byte, tenant string, now time.Time) (Change, error) {
	var e cloudEvent
	if err := decode(body, &e, false); err != nil {
		return Change{}, err
	}
	if e.DataBase64 != "" {
		if e.Data != nil {
			return Change{}, wrong("an event has \"data\" or \"data_base64\", not both")
		}
		data, err := base64.StdEncoding.DecodeString(e.DataBase64)
		if err != nil {
			return Change{}, wrong("the field \"data_base64\" is not base64: %s", plain.Line(err.Error(), 80))
		}
		e.Data = data
	} else if e.DataContentType == "" || !isJSON(e.DataContentType) {
		// In this format data is always JSON: a text is one that is quoted.
		e.DataContentType = "application/json"
	}
	return e.change(tenant, now)
}

func batchedEvents(body []byte, tenant string, now time.Time) ([]Change, error) {
	var events []json.RawMessage
	if err := decode(body, &events, false); err != nil {
		return nil, err
	}
	if len(events) > maxBatch {
		return nil, refuse(http.StatusRequestEntityTooLarge, "a batch has at most %d events, this one has %d", maxBatch, len(events))
	}
	all := make([]Change, 0, len(events))
	for i, event := range events {
		c, err := structuredEvent(event, tenant, now)
		if refused, ok := errors.AsType[*refusal](err); ok {
			return nil, refuse(refused.status, "event %d of the batch: %s", i+1, refused.text)
		}
		all = append(all, c)
	}
	return all, nil
}

func binaryEvent(header http.Header, body []byte, tenant string, now time.Time) (Change, error) {
	e := cloudEvent{DataContentType: header.Get("Content-Type"), Data: body}
	for _, a := range []struct {
		name string
		into *string
	}{
		{"specversion", &e.SpecVersion}, {"id", &e.ID}, {"source", &e.Source}, {"type", &e.Type}, {"subject", &e.Subject}, {"time", &e.Time},
	} {
		values := header.Values("Ce-" + a.name)
		if len(values) > 1 {
			return Change{}, wrong("the header ce-%s is given twice", a.name)
		}
		if len(values) == 0 {
			continue
		}
		value, err := attribute(values[0])
		if err != nil {
			return Change{}, wrong("the header ce-%s cannot be read: %v", a.name, err)
		}
		*a.into = value
	}
	return e.change(tenant, now)
}

// attribute decodes a header's value: quotes of older senders, then percent-encoding.
func attribute(s string) (string, error) {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		var b strings.Builder
		for inner := s[1 : len(s)-1]; inner != ""; inner = inner[1:] {
			if inner[0] == '\\' && len(inner) > 1 {
				inner = inner[1:]
			}
			b.WriteByte(inner[0])
		}
		s = b.String()
	}
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return "", errors.New("its percent-encoding is broken")
	}
	if !utf8.ValidString(decoded) {
		return "", errors.New("it is not UTF-8")
	}
	return decoded, nil
}

// change reads an event: its data in our own words where they are, and its
// attributes for the rest.
func (e *cloudEvent) change(tenant string, now time.Time) (Change, error) {
	if e.SpecVersion != "1.0" {
		return Change{}, wrong("the attribute \"specversion\" is %q; only CloudEvents 1.0 are read", plain.Line(e.SpecVersion, 40))
	}
	for _, a := range []struct{ name, value string }{{"id", e.ID}, {"source", e.Source}, {"type", e.Type}} {
		if a.value == "" {
			return Change{}, wrong("the attribute %q is missing, which every CloudEvent has", a.name)
		}
		if len(a.value) > 1000 {
			return Change{}, wrong("the attribute %q is at most 1,000 bytes long", a.name)
		}
	}
	f, err := e.data()
	if err != nil {
		return Change{}, err
	}
	if !slices.Contains(kinds, f.Kind) {
		if f.Kind = kindOfType(e.Type); f.Kind == "" {
			return Change{}, wrong("the type %q does not say what kind of change it is; add \"kind\" to the data, one of %s", plain.Line(e.Type, 80), strings.Join(kinds, ", "))
		}
	}
	if f.At == "" {
		f.At = e.Time
	}
	if firstLine(f.Title) == "" {
		if f.Title = e.Subject; firstLine(f.Title) == "" {
			f.Title = e.Type
		}
	}
	// An event is known by its source and id together.
	f.ID = fmt.Sprintf("%d:%s%s", len(e.Source), e.Source, e.ID)
	return f.change(tenant, now)
}

// data is what the event's data says in our own words. The data is somebody
// else's, who may use these words for other things: what is not of the right
// form says nothing, and that is no error, but for a tenant.
func (e *cloudEvent) data() (eventForm, error) {
	var f eventForm
	if !isJSON(e.DataContentType) || len(bytes.TrimSpace(e.Data)) == 0 {
		return f, nil
	}
	if err := unambiguous(e.Data); err != nil {
		return f, wrong("the event's data: %v", err)
	}
	if bytes.TrimSpace(e.Data)[0] != '{' {
		return f, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &fields); err != nil {
		return f, wrong("the event's data is not a JSON object")
	}
	for name, into := range map[string]*string{
		"kind": &f.Kind, "title": &f.Title, "ref": &f.Ref, "author": &f.Author, "at": &f.At, "url": &f.URL,
	} {
		_ = json.Unmarshal(fields[name], into)
	}
	for name, into := range map[string]*int{"added": &f.Added, "removed": &f.Removed} {
		if json.Unmarshal(fields[name], into) != nil || *into < 0 {
			*into = 0
		}
	}
	if json.Unmarshal(fields["files"], &f.Files) != nil {
		f.Files = nil
	}
	f.URL = link(f.URL)
	if raw, ok := fields["tenant_id"]; ok && json.Unmarshal(raw, &f.Tenant) != nil {
		return f, wrong("the field \"tenant_id\" of the event's data is not a text")
	}
	return f, nil
}

func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// typeWords are the words by which an event's type names a kind of change,
// those of CDEvents among them (dev.cdevents.service.deployed.0.2.0). The
// first that occurs decides.
var typeWords = []struct {
	kind  string
	words []string
}{
	{"flag", []string{"flag", "flags", "featureflag", "toggle"}},
	{"migration", []string{"migration", "migrations", "migrated", "schema"}},
	{"deployment", []string{"deployment", "deploy", "deployed", "rollout", "rollback", "rolledback", "release", "released", "upgraded"}},
	{"image", []string{"image", "artifact"}},
	{"config", []string{"config", "configuration", "configmap", "setting", "settings", "secret"}},
	{"infrastructure", []string{"infrastructure", "infra", "terraform", "environment", "cluster", "node", "scaling"}},
}

func kindOfType(t string) string {
	words := splitWords(t[:min(len(t), 200)])
	for _, k := range typeWords {
		if slices.ContainsFunc(words, func(w string) bool { return slices.Contains(k.words, w) }) {
			return k.kind
		}
	}
	return ""
}
