package histogram

import (
	"bytes"
	"cmp"
	"slices"
)

// branch is where patterns go on after the segments they share.
type branch struct {
	literals map[string]*branch
	mixed    []mixed // with the most literal text first
	any      *branch // {name}
	rest     *branch // {name...}
	ends     endings // the patterns that end here
}

// mixed is a segment of literal text with parameters in it.
type mixed struct {
	segment
	next *branch
}

// ending says that a template ends at a branch.
type ending struct{ method, template int }

type endings []ending

// extend is the branch behind s, made if there is none.
func (b *branch) extend(s segment) *branch {
	switch {
	case s.rest:
		return made(&b.rest)
	case len(s.pieces) == 1:
		if b.literals == nil {
			b.literals = make(map[string]*branch)
		}
		says := string(text([]byte(s.pieces[0]), nil))
		next := b.literals[says]
		b.literals[says] = made(&next)
		return next
	case s.key() == "{}":
		return made(&b.any)
	}
	for _, m := range b.mixed {
		if m.key() == s.key() {
			return m.next
		}
	}
	next := new(branch)
	b.mixed = append(b.mixed, mixed{segment: s, next: next})
	slices.SortStableFunc(b.mixed, func(x, y mixed) int {
		return cmp.Compare(len(y.key()), len(x.key()))
	})
	return next
}

func made(b **branch) *branch {
	if *b == nil {
		*b = new(branch)
	}
	return *b
}

// match is the template of the rest of a path, which has segments left if more.
// Each branch is entered once at most.
func (b *branch) match(method int, rest []byte, more bool) (int, bool) {
	if !more {
		return b.ends.of(method)
	}
	segment, behind, more := bytes.Cut(rest, []byte("/"))
	if b.literals != nil {
		var space [maxCollapsed]byte
		if next := b.literals[string(text(segment, space[:0]))]; next != nil {
			if i, ok := next.match(method, behind, more); ok {
				return i, true
			}
		}
	}
	if len(segment) > 0 {
		for _, m := range b.mixed {
			if m.matches(segment) {
				if i, ok := m.next.match(method, behind, more); ok {
					return i, true
				}
			}
		}
		if b.any != nil {
			if i, ok := b.any.match(method, behind, more); ok {
				return i, true
			}
		}
	}
	if b.rest != nil {
		return b.rest.ends.of(method)
	}
	return 0, false
}

// matches reports whether text has the segment's pieces in it in their order,
// at least one byte apart.
func (s segment) matches(text []byte) bool {
	first, last := s.pieces[0], s.pieces[len(s.pieces)-1]
	if !bytes.HasPrefix(text, []byte(first)) || !bytes.HasSuffix(text, []byte(last)) ||
		len(text) < len(first)+1+len(last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, piece := range s.pieces[1 : len(s.pieces)-1] {
		i := bytes.Index(text[1:], []byte(piece))
		if i < 0 || len(text) < 1+i+len(piece)+1 {
			return false
		}
		text = text[1+i+len(piece):]
	}
	return true
}

func (e endings) exactly(method int) (template int, ok bool) {
	for _, end := range e {
		if end.method == method {
			return end.template, true
		}
	}
	return 0, false
}

// of is the template for a request's method.
func (e endings) of(method int) (template int, ok bool) {
	if template, ok = e.exactly(method); ok {
		return template, true
	}
	if method == methodHead {
		if template, ok = e.exactly(methodGet); ok {
			return template, true
		}
	}
	return e.exactly(anyMethod)
}
