// Package strictyaml reads YAML documents in which nothing is guessed: each
// unknown key, repeated key and value of a wrong type is a Problem with its
// line and column, and all of them are found at once.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Reader gathers the problems of one document.
type Reader struct {
	name     string
	problems []Problem
}

// Read parses data, the content of the file name, and calls root with its
// only document, unless there is none. It returns what it found wrong and
// what root reported, in the order of finding.
func Read(name string, data []byte, root func(*Reader, *yaml.Node)) []Problem {
	r := &Reader{name: name}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		r.syntax(err)
		return r.problems
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		r.syntax(err)
		return r.problems
	}
	root(r, Resolve(first.Content[0]))
	switch err := loader.Load(&second); {
	case err == nil:
		r.Problem(&second, "a second document begins here: a configuration is one")
	case !errors.Is(err, io.EOF):
		r.syntax(err)
	}
	return r.problems
}

// Problem reports what is wrong with n, in one line that also says how to
// mend it.
func (r *Reader) Problem(n *yaml.Node, text string, args ...any) {
	r.problems = append(r.problems, Problem{Where: r.Where(n), Text: fmt.Sprintf(text, args...)})
}

// Where is the place of n: FILE:LINE:COL.
func (r *Reader) Where(n *yaml.Node) string { return place(r.name, n.Line, n.Column) }

func place(name string, line, column int) string { return fmt.Sprintf("%s:%d:%d", name, line, column) }

func (r *Reader) syntax(err error) {
	line, column, text := 1, 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		line, column = max(1, load.Mark.Line), max(1, load.Mark.Column)
		text = load.Message
	}
	text = strings.Join(strings.Fields(text), " ")
	r.problems = append(r.problems, Problem{Where: place(r.name, line, column), Text: "not valid YAML: " + text})
}

// Pairs calls f for each key of the mapping n that is plain text and was not
// met before.
func (r *Reader) Pairs(n *yaml.Node, f func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := Resolve(n.Content[i]), Resolve(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			r.Problem(n.Content[i], "a key must be a plain word")
			continue
		}
		if line, again := seen[key.Value]; again {
			r.Problem(n.Content[i], "key %q is given twice, first on line %d: keep one", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		f(key, value)
	}
}

// Items calls f for each item of the list n, of which there may be most. A list
// that is not one, or is too long, is a problem: first is the key that an item is
// to begin with, and limit what most of them can be, such as "can be used". It
// reports whether n is a list that was read.
func (r *Reader) Items(n *yaml.Node, name, first string, most int, limit string, f func(item *yaml.Node)) bool {
	n = Resolve(n)
	switch {
	case IsNull(n):
		return false
	case n.Kind != yaml.SequenceNode:
		r.Problem(n, "%s must be a list: begin each with \"- %s: NAME\" on a line of its own", name, first)
		return false
	case len(n.Content) > most:
		r.Problem(n, "there are %d %s, and at most %d %s", len(n.Content), name, most, limit)
		return false
	}
	for _, item := range n.Content {
		f(item)
	}
	return true
}

// Resolve follows an alias to the node it stands for.
func Resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// IsNull says whether n is nothing, written out or left out.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
