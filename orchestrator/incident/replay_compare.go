package incident

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// decoded is JSON as a tree, its numbers as they are written.
func decoded(data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

// jsonOf is a value as a tree.
func jsonOf(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return decoded(data)
}

// compare notes where two trees differ. A member that only one of them has is
// the same as an empty one: another version may leave it out.
func (s *replay) compare(path string, recorded, replayed any) {
	switch a := recorded.(type) {
	case map[string]any:
		if b, ok := replayed.(map[string]any); ok {
			s.compareObjects(path, a, b)
			return
		}
	case []any:
		if b, ok := replayed.([]any); ok && len(a) == len(b) {
			for i := range a {
				s.compare(fmt.Sprintf("%s[%d]", path, i), a[i], b[i])
			}
			return
		}
	case json.Number:
		if b, ok := replayed.(json.Number); ok && equalNumbers(a, b) {
			return
		}
	default:
		if !isContainer(replayed) && recorded == replayed {
			return
		}
	}
	if isEmpty(recorded) && isEmpty(replayed) {
		return
	}
	s.differs(path, shown(recorded), shown(replayed))
}

func (s *replay) compareObjects(path string, a, b map[string]any) {
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s.compare(path+"."+name, a[name], b[name])
	}
}

func equalNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseFloat(a.String(), 64)
	y, errY := strconv.ParseFloat(b.String(), 64)
	return errX == nil && errY == nil && x == y
}

func isContainer(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// isEmpty says whether a value is one that may as well not be there.
func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	}
	return false
}

// shown is a value in a few words.
func shown(v any) string {
	if v == nil {
		return "nothing"
	}
	data, err := marshal(v)
	if err != nil {
		return err.Error()
	}
	return clean(string(data), maxPhrase)
}

// has says whether the entry names a piece of evidence.
func (s *replay) has(name string) bool {
	for _, ev := range s.entry.Evidence {
		if ev.Name == name {
			return true
		}
	}
	return false
}
