package docket

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// families begin the kinds of entries that are ours. All others are looked at
// for their time alone.
var families = []string{"incident.", "approval.", "target.", "effect.", "shadow.", "policy.", "access.", "diagnosis."}

// A heading is what is read of every entry before it is known whose it is.
type heading struct {
	kind   string
	time   time.Time
	tenant string
}

func (h heading) ours() bool {
	for _, family := range families {
		if strings.HasPrefix(h.kind, family) {
			return true
		}
	}
	return false
}

// headingOf reads a leaf's heading: from its first bytes when it begins as our
// own entries do, which is what makes folding a million of them bearable, and
// from the whole JSON otherwise.
func headingOf(leaf []byte) (heading, error) {
	if h, ok := quickHeading(leaf); ok {
		return h, nil
	}
	return slowHeading(leaf)
}

func slowHeading(leaf []byte) (heading, error) {
	// Into a map, as only names of exactly these letters are meant.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(leaf, &members); err != nil {
		return heading{}, err
	}
	var h heading
	if err := json.Unmarshal(members["kind"], &h.kind); err != nil {
		return heading{}, fmt.Errorf("its kind cannot be read: %w", err)
	}
	if at, ok := members["time"]; ok {
		if err := json.Unmarshal(at, &h.time); err != nil {
			return heading{}, fmt.Errorf("its time cannot be read: %w", err)
		}
	}
	// That of an entry of others may be anything.
	if json.Unmarshal(members["tenant_id"], &h.tenant) != nil {
		h.tenant = ""
	}
	return h, nil
}

// quickHeading reads `{"v":1,"kind":"…","time":"…"` and, when it follows,
// `,"tenant_id":"…"`. An entry of ours always has the latter.
func quickHeading(leaf []byte) (h heading, ok bool) {
	kind, rest, ok := member(leaf, `{"v":1,"kind":"`)
	if !ok {
		return heading{}, false
	}
	at, rest, ok := member(rest, `,"time":"`)
	if !ok {
		return heading{}, false
	}
	h.kind = string(kind)
	var err error
	if h.time, err = time.Parse(time.RFC3339, string(at)); err != nil {
		return heading{}, false
	}
	tenant, _, ok := member(rest, `,"tenant_id":"`)
	h.tenant = string(tenant)
	return h, ok || !h.ours()
}

// member reads what is between a prefix and the next quotation mark. A value
// with an escape is not for it.
func member(data []byte, prefix string) (value, rest []byte, ok bool) {
	if len(data) < len(prefix) || string(data[:len(prefix)]) != prefix {
		return nil, data, false
	}
	data = data[len(prefix):]
	end := bytes.IndexByte(data, '"')
	if end < 0 || bytes.IndexByte(data[:end], '\\') >= 0 {
		return nil, data, false
	}
	return data[:end], data[end+1:], true
}
