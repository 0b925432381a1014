package histogram

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// anyMethod is the method of a pattern that names none.
const anyMethod = -1

// Templates name routes by patterns. A pattern is a path, or a method and a
// path: "/users/{id}", "GET /users/{id}". {name} stands for one segment that is
// not empty, or for the part of it between literal text as in /reports/{name}.pdf;
// {name...}, at the end, for the rest of the path, which may be empty.
//
// The most specific pattern names a request: segment by segment from the left,
// literal text comes before text with a {name} in it, that before a {name} alone
// and that before {name...}. Then a pattern for the request's method comes before
// one for any, and GET patterns are for HEAD too unless there is one for it.
//
// Templates do not change and are safe for concurrent use.
type Templates struct {
	list []template
	root branch
}

// template is one pattern: an index in methods, or anyMethod, and a path.
type template struct {
	method int
	path   string
}

func (t *Templates) count() int { return len(t.list) }

// NewTemplates makes Templates of patterns. The error says which pattern cannot
// be used, and why.
func NewTemplates(patterns []string) (*Templates, error) {
	t := new(Templates)
	for _, pattern := range patterns {
		if err := t.add(pattern); err != nil {
			return nil, fmt.Errorf("route pattern %q: %w", pattern, err)
		}
	}
	return t, nil
}

func (t *Templates) add(pattern string) error {
	method, path := anyMethod, pattern
	if name, rest, found := strings.Cut(pattern, " "); found {
		if method = methodIndex([]byte(name)); method == 0 {
			return fmt.Errorf("%q is not an HTTP method", name)
		}
		path = strings.TrimLeft(rest, " ")
	}
	segments, err := parsePath(path)
	if err != nil {
		return err
	}
	at := &t.root
	for _, s := range segments {
		at = at.extend(s)
	}
	if earlier, found := at.ends.exactly(method); found {
		return fmt.Errorf("matches the same requests as %q", t.list[earlier].path)
	}
	at.ends = append(at.ends, ending{method: method, template: len(t.list)})
	t.list = append(t.list, template{method: method, path: path})
	return nil
}

// match is the index of the template of a path, false if there is none.
func (t *Templates) match(method int, path []byte) (int, bool) {
	if path[0] != '/' {
		return 0, false
	}
	return t.root.match(method, path[1:], true)
}

// segment is one segment of a pattern: the literal text around its parameters,
// so one piece is a literal and two empty ones are a parameter alone.
type segment struct {
	pieces []string
	rest   bool // {name...}
}

func (s segment) key() string { return strings.Join(s.pieces, "{}") }

// parsePath reads a pattern's path.
func parsePath(path string) ([]segment, error) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return nil, errors.New("the path must begin with a slash")
	case len(path) > maxCollapsed:
		return nil, fmt.Errorf("the path is longer than %d bytes", maxCollapsed)
	case strings.ContainsAny(path, "?#"):
		return nil, errors.New("a path has no ? or #")
	}
	if _, ok := unescape(nil, []byte(path)); !ok {
		return nil, errors.New("the path has a character that cannot be in one, or an escape that cannot be matched")
	}
	var segments []segment
	seen := make(map[string]bool)
	texts := strings.Split(path[1:], "/")
	for i, text := range texts {
		s, names, err := parseSegment(text)
		if err != nil {
			return nil, err
		}
		if s.rest && i < len(texts)-1 {
			return nil, fmt.Errorf("%s must be the end of the path", text)
		}
		for _, name := range names {
			if seen[name] {
				return nil, fmt.Errorf("{%s} stands in it twice", name)
			}
			seen[name] = true
		}
		segments = append(segments, s)
	}
	return segments, nil
}

func parseSegment(text string) (s segment, names []string, err error) {
	if strings.HasPrefix(text, ":") {
		return s, nil, fmt.Errorf("write {%s} instead of %s", text[1:], text)
	}
	if text == "*" || text == "**" {
		return s, nil, fmt.Errorf("write {name} or {name...} instead of %s", text)
	}
	for rest := text; ; {
		literal, after, found := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return s, nil, fmt.Errorf("%s has a } without a {", text)
		}
		s.pieces = append(s.pieces, literal)
		if !found {
			break
		}
		name, after, found := strings.Cut(after, "}")
		if !found {
			return s, nil, fmt.Errorf("%s has a { without a }", text)
		}
		if trimmed, ok := strings.CutSuffix(name, "..."); ok {
			if text != "{"+name+"}" {
				return s, nil, fmt.Errorf("{%s} must be a segment of its own", name)
			}
			s.rest, name = true, trimmed
		}
		if name == "" || strings.ContainsAny(name, "{*$ ") {
			return s, nil, fmt.Errorf("%s needs a name between the braces", text)
		}
		names = append(names, name)
		rest = after
	}
	for _, piece := range s.pieces[1 : len(s.pieces)-min(1, len(names))] {
		if piece == "" {
			return s, nil, fmt.Errorf("%s needs text between its parameters", text)
		}
	}
	return s, names, nil
}

// text is what a segment says, escapes decoded; the segment itself when that
// is nothing to show.
func text(segment, space []byte) []byte {
	if bytes.IndexByte(segment, '%') < 0 || len(segment) > maxCollapsed {
		return segment
	}
	if decoded, ok := unescape(space, segment); ok {
		return decoded
	}
	return segment
}
