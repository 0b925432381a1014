package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// telling are the members of an entry that a reader looks for first.
var telling = []string{"incident_id", "stage", "actor", "decision", "reason", "service"}

// untold are those that a line shows elsewhere, or that only tell machines
// something.
var untold = []string{"v", "kind", "time", "once"}

// What a line shows at most, in characters: of a member's name or value, and of
// all that is in one.
const (
	maxValue  = 60
	maxInline = 160
)

// ledgerEntry is an entry as far as it is shown.
type ledgerEntry struct {
	kind    string
	time    string
	members []member // in the order of the leaf
}

type member struct {
	name  string
	value json.RawMessage
}

// readEntry takes a leaf apart.
func readEntry(leaf []byte) (*ledgerEntry, error) {
	if err := mustBeJSON(leaf); err != nil {
		return nil, err
	}
	e := &ledgerEntry{}
	var err error
	if e.members, err = membersOf(leaf); err != nil {
		return nil, err
	}
	for _, m := range e.members {
		switch m.name {
		case "kind":
			_ = json.Unmarshal(m.value, &e.kind) // another type is no kind
		case "time":
			_ = json.Unmarshal(m.value, &e.time)
		}
	}
	return e, nil
}

// mustBeJSON refuses what is not one JSON value: anything after it could pass
// for the next entry.
func mustBeJSON(leaf []byte) error {
	if !json.Valid(leaf) {
		return errors.New("it is not valid JSON")
	}
	return nil
}

// membersOf takes a JSON object apart.
func membersOf(object []byte) (all []member, err error) {
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)}
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// entryFilter says which entries are shown.
type entryFilter struct {
	kind  string
	after time.Time
}

func (f entryFilter) takes(e *ledgerEntry) bool {
	if f.kind != "" && f.kind != e.kind {
		return false
	}
	if f.after.IsZero() {
		return true
	}
	t, err := time.Parse(time.RFC3339, e.time)
	return err == nil && !t.Before(f.after)
}

// line is an entry for a reader, on one line.
func (e *ledgerEntry) line(index uint64) string {
	at := e.time
	if t, err := time.Parse(time.RFC3339, at); err == nil {
		at = t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	parts := []string{fmt.Sprintf("%6d  %-24s  %-16s", index, clip(at, maxValue), clip(e.kind, maxValue))}
	for _, name := range telling {
		for _, m := range e.members {
			if m.name == name {
				parts = append(parts, m.String())
			}
		}
	}
	for _, m := range e.members {
		if !slices.Contains(telling, m.name) && !slices.Contains(untold, m.name) {
			parts = append(parts, m.String())
		}
	}
	return strings.TrimRight(printable(strings.Join(parts, "  ")), " ") + "\n"
}

// jsonLine is an entry for a program: the leaf as it is, on one line.
func jsonLine(index uint64, leaf []byte) (string, error) {
	if err := mustBeJSON(leaf); err != nil {
		return "", err
	}
	if bytes.ContainsAny(leaf, "\r\n") {
		var one bytes.Buffer
		if err := json.Compact(&one, leaf); err != nil {
			return "", err
		}
		leaf = one.Bytes()
	}
	return fmt.Sprintf("{\"index\":%d,\"leaf\":%s}\n", index, leaf), nil
}

// String shows a member: texts and numbers as they are, a small object by its
// members, of a list how long it is.
func (m member) String() string {
	name := clip(m.name, maxValue)
	var v any
	if json.Unmarshal(m.value, &v) != nil {
		return name + "=?"
	}
	switch v := v.(type) {
	case string:
		if v == "" || strings.ContainsAny(v, " \t\r\n\"=") {
			return name + "=" + clip(fmt.Sprintf("%q", v), maxValue)
		}
		return name + "=" + clip(v, maxValue)
	case []any:
		return fmt.Sprintf("%s=[%d]", name, len(v))
	case map[string]any:
		if inside, ok := m.inline(); ok {
			return inside
		}
		return fmt.Sprintf("%s={%d}", name, len(v))
	}
	return name + "=" + clip(string(m.value), maxValue)
}

// inline shows the members of an object, if they are few. Objects in it are
// not shown.
func (m member) inline() (string, bool) {
	members, err := membersOf(m.value)
	if err != nil || len(members) == 0 {
		return "", false
	}
	var parts []string
	length := 0
	for _, inner := range members {
		text := clip(inner.name, maxValue) + "={…}"
		if inner.value[0] != '{' {
			text = inner.String()
		}
		text = clip(m.name, maxValue) + "." + text
		if length += len([]rune(text)) + 2; length > maxInline {
			return "", false
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "  "), true
}
