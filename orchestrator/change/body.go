package change

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

const (
	// MaxBody is the most that is read of a request's body, in bytes.
	MaxBody = 1 << 20
	// maxReading bounds the large bodies in memory at one time: a webhook's has
	// to be read whole before its signature says whether it is wanted at all.
	// Bodies known to be below smallBody are not held up by them.
	maxReading = 4
	smallBody  = 64 << 10
	// maxDepth is how deeply JSON may be nested. GitHub's payloads stay below 10.
	maxDepth = 64
)

// refusal is an answer that is an error: a sentence for whoever called.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

func wrong(format string, args ...any) error {
	return refuse(http.StatusBadRequest, format, args...)
}

// Large bodies of anybody, and of those who have shown a secret before: the
// former, however slowly they send, leave room for the latter.
var (
	readingAnybodys = make(chan struct{}, maxReading)
	readingKnown    = make(chan struct{}, maxReading)
)

// withBody calls take with the whole body, of at most MaxBody bytes. Large ones
// wait for no place in reading.
func withBody(w http.ResponseWriter, r *http.Request, reading chan struct{}, take func(body []byte) error) error {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "changes are sent with POST")
	}
	if r.ContentLength > MaxBody {
		return tooLarge()
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		select {
		case reading <- struct{}{}:
			defer func() { <-reading }()
		default:
			w.Header().Set("Retry-After", "5")
			return refuse(http.StatusServiceUnavailable, "%d large changes are being received at this moment; try again in 5 seconds", maxReading)
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge()
	}
	if err != nil {
		return wrong("the body broke off: %v", err)
	}
	return take(body)
}

func tooLarge() error {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", MaxBody)
}

// mediaType is the Content-Type without parameters, in lower case.
func mediaType(r *http.Request) (string, error) {
	given := r.Header.Get("Content-Type")
	if given == "" {
		return "", refuse(http.StatusUnsupportedMediaType, "the request has no Content-Type; it is application/json for JSON")
	}
	t, params, err := mime.ParseMediaType(given)
	if err != nil {
		return "", refuse(http.StatusUnsupportedMediaType, "the Content-Type is not one: %v", err)
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "us-ascii") {
		return "", refuse(http.StatusUnsupportedMediaType, "the body must be in UTF-8, not in %q", plain.Line(c, 40))
	}
	return t, nil
}

// decode reads one JSON value that says one thing only: UTF-8, no key twice,
// not nested without end. Strict refuses unknown fields by name.
func decode(data []byte, into any, strict bool) error {
	if err := unambiguous(data); err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if strict {
		dec.DisallowUnknownFields()
	}
	err := dec.Decode(into)
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return wrong("the field %q cannot be a JSON %s", plain.Line(t.Field, 80), plain.Line(t.Value, 40))
	}
	if err != nil {
		return wrong("the JSON is not what is expected: %s", plain.Line(strings.TrimPrefix(err.Error(), "json: "), 160))
	}
	return nil
}

// unambiguous says why two readers might understand data differently.
func unambiguous(data []byte) error {
	if !utf8.Valid(data) {
		return wrong("the body is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	type level struct {
		keys map[string]struct{} // nil in an array
		key  bool                // the next token is a key
	}
	var stack []level
	for {
		token, err := dec.Token()
		if err != nil {
			return wrong("the body is not JSON: %s, at byte %d", plain.Line(err.Error(), 120), dec.InputOffset())
		}
		if top := len(stack) - 1; top >= 0 && stack[top].keys != nil {
			if name, ok := token.(string); ok && stack[top].key {
				if _, twice := stack[top].keys[name]; twice {
					return wrong("the JSON has the key %q twice, at byte %d", plain.Line(name, 80), dec.InputOffset())
				}
				stack[top].keys[name] = struct{}{}
				stack[top].key = false
				continue
			}
			stack[top].key = true
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{keys: make(map[string]struct{}), key: true})
		case json.Delim('['):
			stack = append(stack, level{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) > maxDepth {
			return wrong("the JSON is nested more than %d deep", maxDepth)
		}
		if len(stack) == 0 {
			break
		}
	}
	if _, err := dec.Token(); err != io.EOF {
		return wrong("something follows the JSON value, at byte %d", dec.InputOffset())
	}
	return nil
}

// receipt is the answer to what was taken.
type receipt struct {
	// Added is how many changes are new.
	Added int `json:"added"`
	// Duplicate says that all of it was known.
	Duplicate bool `json:"duplicate"`
	// Ignored says why there was nothing to take.
	Ignored string `json:"ignored,omitempty"`
}

func answer(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode the answer", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that is gone cannot be told
}
