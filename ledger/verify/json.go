package verify

import (
	"errors"
	"fmt"
)

// maxNesting is how deep arrays and objects may lie in one another; the standard
// library's limit.
const maxNesting = 10000

// A scanner goes over one JSON text (RFC 8259) and judges it as it goes. Its
// caller has made sure that the text is valid UTF-8.
type scanner struct {
	data  []byte
	pos   int
	depth int
	// objects has a bit for each level of nesting that skip is in: whether it is
	// an object.
	objects [maxNesting/64 + 1]uint64
}

// reset makes the scanner begin with another text.
func (s *scanner) reset(data []byte) { s.data, s.pos, s.depth = data, 0, 0 }

// syntaxError says what is wrong at the scanner's place.
func (s *scanner) syntaxError(expected string) error {
	if s.pos >= len(s.data) {
		return fmt.Errorf("not valid JSON: it ends where %s should be", expected)
	}
	return fmt.Errorf("not valid JSON: %q at byte %d where %s should be", s.data[s.pos], s.pos, expected)
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\n', '\t', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek is the next byte after white space, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.data) && s.data[s.pos] > ' ' {
		return s.data[s.pos]
	}
	s.space()
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

// take moves over one byte after white space, which must be b.
func (s *scanner) take(b byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == b || s.peek() == b {
		s.pos++
		return true
	}
	return false
}

// number moves over a number.
func (s *scanner) number() error {
	if s.pos < len(s.data) && s.data[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.data) && s.data[s.pos] == '0' {
		s.pos++
	} else if s.digits() == 0 {
		return s.syntaxError("a digit")
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.syntaxError("a digit")
		}
	}
	if s.pos < len(s.data) && (s.data[s.pos]|0x20) == 'e' {
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return s.syntaxError("a digit")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

func (s *scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.syntaxError("a value")
	}
	s.pos += len(word)
	return nil
}

// value moves over any value.
func (s *scanner) value() error {
	if c := s.peek(); c == '{' || c == '[' {
		return s.skip()
	}
	return s.scalar()
}

// scalar moves over a value that is no array or object.
func (s *scanner) scalar() error {
	switch c := s.peek(); c {
	case '"':
		_, err := s.str()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || c-'0' <= 9 {
			return s.number()
		}
		return s.syntaxError("a value")
	}
}

var errNesting = errors.New("not valid JSON: arrays and objects lie more than 10000 deep in one another")

// skip moves over an array or object and all that is in it, without recursion.
func (s *scanner) skip() error {
	for outside := s.depth; ; {
		c := s.peek()
		var err error
		switch {
		case c == '{' || c == '[':
			err = s.enter(c == '{')
		default:
			err = s.scalar()
		}
		if err != nil {
			return err
		}
		// In front of a value, unless what was entered ends at once.
		if c == '{' && s.peek() != '}' {
			if err := s.name(); err != nil {
				return err
			}
			continue
		}
		if c == '[' && s.peek() != ']' {
			continue
		}
		more, err := s.leave(outside)
		if err != nil || !more {
			return err
		}
	}
}

// enter moves into an array or object.
func (s *scanner) enter(object bool) error {
	s.pos++
	if s.depth == maxNesting {
		return errNesting
	}
	word, bit := s.depth/64, uint64(1)<<(s.depth%64)
	s.objects[word] &^= bit
	if object {
		s.objects[word] |= bit
	}
	s.depth++
	return nil
}

// leave moves, after a value, to the next one or out of what ends here, until
// there is a next one or the depth is that of outside.
func (s *scanner) leave(outside int) (more bool, err error) {
	for s.depth > outside {
		inner := s.depth - 1
		if object := s.objects[inner/64]>>(inner%64)&1 == 1; object {
			if s.take(',') {
				return true, s.name()
			}
			if !s.take('}') {
				return false, s.syntaxError("a comma or the end of an object")
			}
		} else {
			if s.take(',') {
				return true, nil
			}
			if !s.take(']') {
				return false, s.syntaxError("a comma or the end of an array")
			}
		}
		s.depth--
	}
	return false, nil
}

// name moves over a member's name and the colon after it.
func (s *scanner) name() error {
	if _, err := s.str(); err != nil {
		return err
	}
	if !s.take(':') {
		return s.syntaxError("a colon")
	}
	return nil
}

// object moves over an object; member is called in front of each value and
// must move over it.
func (s *scanner) object(member func(name token) error) error {
	if !s.take('{') {
		return s.syntaxError("an object")
	}
	if s.depth++; s.depth > maxNesting {
		return errNesting
	}
	if s.take('}') {
		s.depth--
		return nil
	}
	for {
		name, err := s.str()
		if err != nil {
			return err
		}
		if !s.take(':') {
			return s.syntaxError("a colon")
		}
		if err := member(name); err != nil {
			return err
		}
		if s.take('}') {
			s.depth--
			return nil
		}
		if !s.take(',') {
			return s.syntaxError("a comma or the end of an object")
		}
	}
}

// array moves over an array; element is called in front of each value and must
// move over it.
func (s *scanner) array(element func() error) error {
	if !s.take('[') {
		return s.syntaxError("an array")
	}
	if s.depth++; s.depth > maxNesting {
		return errNesting
	}
	if s.take(']') {
		s.depth--
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		if s.take(']') {
			s.depth--
			return nil
		}
		if !s.take(',') {
			return s.syntaxError("a comma or the end of an array")
		}
	}
}
