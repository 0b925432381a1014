package manifest

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/deploy/inject"
)

// splice does a patch to a document's text, and leaves every line as it is that the
// patch does not speak of. It knows the plain way to write YAML, of keys and
// dashes at the beginning of lines; ok is false where it meets another. Whether the text says
// what was meant is for the caller to see: this only tries.
func splice(d *document) (_ []byte, ok bool) {
	s := &splicer{compact: compact(d.root), ending: "\n", lines: slices.Collect(strings.Lines(string(d.text)))}
	if strings.Contains(string(d.text), "\r\n") {
		s.ending = "\r\n"
	}
	for _, op := range d.patch {
		if !s.do(d.root, op) {
			return nil, false
		}
	}
	return s.text(), true
}

type splicer struct {
	lines    []string // each with its end
	ending   string   // of a line
	compact  bool
	inserted []insertion
}

// insertion is lines to be written before another, by its index.
type insertion struct {
	before, column int
	lines          []string
}

// text puts the insertions in. Of those at one place the inner ones go first.
func (s *splicer) text() []byte {
	slices.SortStableFunc(s.inserted, func(a, b insertion) int {
		return cmp.Or(cmp.Compare(a.before, b.before), cmp.Compare(b.column, a.column))
	})
	var b strings.Builder
	done := 0
	for _, one := range s.inserted {
		for ; done < one.before; done++ {
			b.WriteString(s.lines[done])
		}
		if text := b.String(); text != "" && !strings.HasSuffix(text, "\n") {
			b.WriteString(s.ending)
		}
		for _, line := range one.lines {
			b.WriteString(line)
		}
	}
	b.WriteString(strings.Join(s.lines[done:], ""))
	return []byte(b.String())
}

func (s *splicer) do(root *yaml.Node, op inject.Operation) bool {
	steps := inject.Steps(op.Path)
	last := steps[len(steps)-1]
	parent := at(root, steps[:len(steps)-1])
	if parent == nil || len(parent.Content) == 0 {
		return false
	}
	if op.Op == "remove" {
		return s.remove(parent, last)
	}
	n, err := nodeOf(op.Value)
	if err != nil {
		return false
	}
	switch old := child(parent, last); {
	case old != nil && n.Kind == yaml.ScalarNode:
		return s.replace(old, n)
	case parent.Style&yaml.FlowStyle != 0:
		return false
	case parent.Kind == yaml.SequenceNode && last == "-":
		return s.insert(s.end(parent), parent.Column, &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{n}})
	case old != nil:
		return parent.Kind == yaml.MappingNode && s.fill(parent, last, old, n)
	case parent.Kind == yaml.MappingNode:
		return s.insert(s.end(parent), parent.Column, pair(last, n))
	}
	return false
}

func pair(key string, n *yaml.Node) *yaml.Node {
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, n}}
}

// insert writes a node before a line, by index, indented to a column.
func (s *splicer) insert(before, column int, n *yaml.Node) bool {
	text, err := dump(n, s.compact)
	if err != nil {
		return false
	}
	s.indent(before, column, string(text))
	return true
}

func (s *splicer) indent(before, column int, text string) {
	one := insertion{before: before, column: column}
	for line := range strings.Lines(text) {
		one.lines = append(one.lines, strings.Repeat(" ", column-1)+strings.TrimSuffix(line, "\n")+s.ending)
	}
	s.inserted = append(s.inserted, one)
}

// end is the index of the line before which what is added to a mapping or list goes:
// behind its last line.
func (s *splicer) end(n *yaml.Node) int {
	end := n.Line
	for i := n.Line; i < len(s.lines); i++ {
		line := strings.TrimRight(s.lines[i], "\r\n\t ")
		indent := len(line) - len(strings.TrimLeft(line, " "))
		text := line[indent:]
		belongs := indent >= n.Column || indent == n.Column-1 && (n.Kind == yaml.MappingNode || text == "-" || strings.HasPrefix(text, "- ") || strings.HasPrefix(text, "#"))
		switch {
		case text == "" || !belongs && strings.HasPrefix(text, "#"):
			continue
		case !belongs || line == "...":
			return end
		}
		end = i + 1
	}
	return end
}

// replace puts a scalar in another's place, if that is written on one line as it reads.
func (s *splicer) replace(old, n *yaml.Node) bool {
	written, ok := s.written(old)
	if !ok {
		return false
	}
	text, err := dump(n, s.compact)
	if err != nil || strings.Count(string(text), "\n") != 1 {
		return false
	}
	line := s.lines[old.Line-1]
	at := offset(line, old.Column)
	s.lines[old.Line-1] = line[:at] + strings.TrimSpace(string(text)) + line[at+len(written):]
	return true
}

// fill gives a key of a mapping, which has nothing below it, a mapping or a list.
func (s *splicer) fill(parent *yaml.Node, key string, old, n *yaml.Node) bool {
	written, ok := s.written(old)
	if !ok {
		return false
	}
	line := s.lines[old.Line-1]
	at := offset(line, old.Column)
	before, after := strings.TrimRight(line[:at], " "), strings.TrimSpace(line[at+len(written):])
	if !strings.HasSuffix(before, ":") || after != "" && after[0] != '#' {
		return false
	}
	text, err := dump(pair(key, n), s.compact)
	if err != nil {
		return false
	}
	if after != "" {
		after = " " + after
	}
	s.lines[old.Line-1] = before + after + s.ending
	_, below, _ := strings.Cut(string(text), "\n")
	s.indent(old.Line, parent.Column, below)
	return true
}

// remove empties the lines of a mapping's member: that of its key, and those below that are
// indented more. Their numbers stay.
func (s *splicer) remove(parent *yaml.Node, key string) bool {
	i := keyIndex(parent, key)
	if i < 0 || parent.Style&yaml.FlowStyle != 0 {
		return false
	}
	first := parent.Content[i].Line - 1
	indent := func(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
	if indent(s.lines[first]) != parent.Column-1 {
		return false
	}
	end := first + 1
	for i := end; i < len(s.lines) && (strings.TrimSpace(s.lines[i]) == "" || indent(s.lines[i]) >= parent.Column); i++ {
		if strings.TrimSpace(s.lines[i]) != "" {
			end = i + 1
		}
	}
	clear(s.lines[first:end])
	return true
}

// written is how a node without content stands in its line.
func (s *splicer) written(n *yaml.Node) (string, bool) {
	if len(n.Content) > 0 || n.Line < 1 || n.Line > len(s.lines) || n.Anchor != "" {
		return "", false
	}
	line := s.lines[n.Line-1]
	at := offset(line, n.Column)
	if at < 0 {
		return "", false
	}
	candidates := []string{n.Value}
	switch {
	case n.Kind == yaml.MappingNode:
		candidates = []string{"{}"}
	case n.Kind == yaml.SequenceNode:
		candidates = []string{"[]"}
	case n.Style&yaml.DoubleQuotedStyle != 0:
		candidates = []string{`"` + n.Value + `"`}
	case n.Style&yaml.SingleQuotedStyle != 0:
		candidates = []string{"'" + n.Value + "'"}
	}
	for _, c := range candidates {
		if strings.HasPrefix(line[at:], c) {
			return c, true
		}
	}
	return "", false
}

// offset is where a column, which counts characters from 1, begins in a line; -1 where the line is
// shorter.
func offset(line string, column int) int {
	at := 0
	for range column - 1 {
		_, size := utf8.DecodeRuneInString(line[at:])
		if size == 0 {
			return -1
		}
		at += size
	}
	return at
}
