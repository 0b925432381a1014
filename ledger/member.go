package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// eachMember calls fn with the members of an object, in order. Unlike
// encoding/json it tells names apart by case, and a name that comes twice is an
// error: readers would not agree on which one counts. Of text that is not valid
// JSON it makes something or an error.
func eachMember(text []byte, fn func(name string, value []byte) error) error {
	at := skipSpace(text, 0)
	if byteAt(text, at) != '{' {
		return errors.New("it is not a JSON object")
	}
	var seen nameSet
	for at = skipSpace(text, at+1); byteAt(text, at) != '}'; at = skipSpace(text, at) {
		if byteAt(text, at) == ',' {
			at = skipSpace(text, at+1)
		}
		end := skipValue(text, at)
		name, ok := parseString(text[at:end])
		if !ok {
			return errors.New("it has a member without a name")
		}
		if !seen.add(name) {
			return fmt.Errorf("it has the member %q twice", name)
		}
		at = skipSpace(text, skipSpace(text, end)+1) // over the colon
		end = skipValue(text, at)
		if end == at {
			return fmt.Errorf("its member %q has no value", name)
		}
		if err := fn(name, text[at:end]); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// byteAt is a byte of a text, 0 beyond its end.
func byteAt(text []byte, at int) byte {
	if at < len(text) {
		return text[at]
	}
	return 0
}

// nameSet is a set of names, made for few of them.
type nameSet struct {
	few  [16]string
	n    int
	many map[string]struct{}
}

// add reports whether the name is new.
func (s *nameSet) add(name string) bool {
	if slices.Contains(s.few[:s.n], name) {
		return false
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if _, ok := s.many[name]; ok {
		return false
	}
	if s.many == nil {
		s.many = make(map[string]struct{})
	}
	s.many[name] = struct{}{}
	return true
}

// skipSpace returns the first position from at on that is not white space.
func skipSpace(text []byte, at int) int {
	for ; at < len(text); at++ {
		if c := text[at]; c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return at
		}
	}
	return len(text)
}

// skipValue returns the position after the value that begins at at.
func skipValue(text []byte, at int) int {
	depth := 0
	for ; at < len(text); at++ {
		switch text[at] {
		case '"':
			at = skipString(text, at)
			if depth == 0 {
				return min(at+1, len(text))
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of what holds a number or a literal
				return at
			}
			if depth--; depth == 0 {
				return at + 1
			}
		case ',', ':', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return at
			}
		}
	}
	return len(text)
}

// skipString returns the position of the quote that ends the string at at.
func skipString(text []byte, at int) int {
	for at++; at < len(text); at++ {
		quote := bytes.IndexByte(text[at:], '"')
		if quote < 0 {
			break
		}
		escape := bytes.IndexByte(text[at:at+quote], '\\')
		if escape < 0 {
			return at + quote
		}
		at += escape + 1
	}
	return len(text)
}
