package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/deploy/inject"
)

// document is one that was read.
type document struct {
	chunk
	root  *yaml.Node // nil where there is nothing
	patch []inject.Operation
}

// parse reads a chunk.
func parse(c chunk) (*document, error) {
	d := &document{chunk: c}
	if c.blank() {
		return d, nil
	}
	root, err := load(c.text)
	if err != nil {
		return nil, c.in(err)
	}
	d.root = root
	return d, nil
}

// load reads one document's YAML, or JSON.
func load(text []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var root, second yaml.Node
	if err := loader.Load(&root); err != nil {
		return nil, plain(err)
	}
	if loader.Load(&second) == nil {
		return nil, errors.New("something follows its end: begin each document with a line of ---")
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return nil, errors.New("it is empty")
	}
	return root.Content[0], nil
}

// fault is what is wrong in a line, which is counted from the beginning of the document.
type fault struct {
	line int
	text string
}

func (f fault) Error() string { return fmt.Sprintf("line %d: %s", f.line, f.text) }

// plain is the parser's error without its own prefixes.
func plain(err error) error {
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		return fault{load.Mark.Line, "this is not YAML: " + load.Message}
	}
	return fmt.Errorf("this is not YAML: %w", err)
}

// in says where in the stream an error is.
func (c chunk) in(err error) error {
	if f, ok := errors.AsType[fault](err); ok {
		return fault{c.line + f.line - 1, f.text}
	}
	return fmt.Errorf("the document that begins in line %d: %w", c.line, err)
}

// isJSON says whether the document is written as JSON rather than YAML.
func (d *document) isJSON() bool { return json.Valid(d.text) }

// edited is the document's text after its patch.
func (d *document) edited() ([]byte, error) {
	if len(d.patch) == 0 {
		return d.text, nil
	}
	changed, err := d.applied()
	if err != nil {
		return nil, err
	}
	if d.isJSON() {
		return writeJSON(changed, indentOf(d.text))
	}
	want, err := value(changed)
	if err != nil {
		return nil, err
	}
	if text, ok := splice(d); ok && reads(text, want) {
		return text, nil
	}
	text, err := d.rewritten(changed)
	if err == nil && !reads(text, want) {
		err = d.in(errors.New("what it would become cannot be written as YAML: write it in block style, without anchors"))
	}
	return text, err
}

// reads says whether a text says what is wanted.
func reads(text []byte, want any) bool {
	root, err := load(text)
	if err != nil {
		return false
	}
	have, err := content(root)
	return err == nil && equal(have, want)
}

// applied is the document's content after its patch, without anchors and aliases: what is
// changed in one place must not change in another.
func (d *document) applied() (*yaml.Node, error) {
	changed, err := expand(d.root)
	if err != nil {
		return nil, err
	}
	for _, op := range d.patch {
		if err := apply(changed, op); err != nil {
			return nil, d.in(err)
		}
	}
	return changed, nil
}

// rewritten is the document written anew, which keeps comments and order and no
// more of how it was written.
func (d *document) rewritten(changed *yaml.Node) ([]byte, error) {
	text, err := dump(changed, compact(d.root))
	if err != nil {
		return nil, err
	}
	if isMarker(d.text) {
		text = append([]byte("---\n"), text...)
	}
	return text, nil
}

func dump(v any, compactLists bool) ([]byte, error) {
	return yaml.Dump(v, yaml.WithIndent(2), yaml.WithCompactSeqIndent(compactLists), yaml.WithLineWidth(-1), yaml.WithQuotePreference(yaml.QuoteDouble))
}

// compact says whether lists stand below their keys without being indented, as the
// first one does.
func compact(n *yaml.Node) bool {
	answer, _ := firstList(n)
	return answer
}

func firstList(n *yaml.Node) (compact, found bool) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, v := n.Content[i], n.Content[i+1]
			if v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 && len(v.Content) > 0 {
				return key.Column == v.Column, true
			}
		}
	}
	for _, child := range n.Content {
		if compact, found = firstList(child); found {
			return compact, true
		}
	}
	return true, false
}

// indentOf is how far the first member of a JSON document is indented; 0 for one in a line.
func indentOf(text []byte) int {
	_, rest, found := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	if !found {
		return 0
	}
	return len(rest) - len(bytes.TrimLeft(rest, " "))
}

// member returns the value of a mapping's key; nil when there is none.
func member(n *yaml.Node, key string) *yaml.Node {
	if i := keyIndex(n, key); i >= 0 {
		return n.Content[i+1]
	}
	return nil
}

// keyIndex is where a mapping has a key among its content; -1 when it has not.
func keyIndex(n *yaml.Node, key string) int {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return i
			}
		}
	}
	return -1
}
