package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/deploy/inject"
)

// What a document may come to when its aliases are written out, which may stand for
// one another and for themselves.
const (
	maxNodes = 1 << 20
	maxDepth = 1000
)

// expand copies a document with each alias and merge key written out.
func expand(n *yaml.Node) (*yaml.Node, error) {
	e := &expander{left: maxNodes}
	return e.expand(n, maxDepth)
}

// expander counts the nodes that there may still be.
type expander struct{ left int }

func (e *expander) expand(n *yaml.Node, depth int) (*yaml.Node, error) {
	if e.left--; e.left < 0 || depth == 0 {
		return nil, fault{n.Line, "the document is too large or too deep with its aliases written out"}
	}
	if n.Kind == yaml.AliasNode {
		target, err := e.expand(n.Alias, depth-1)
		if err != nil {
			return nil, err
		}
		target.HeadComment, target.LineComment, target.FootComment = n.HeadComment, n.LineComment, n.FootComment
		return target, nil
	}
	out := *n
	out.Anchor = ""
	out.Content = make([]*yaml.Node, 0, len(n.Content))
	var merged []*yaml.Node
	if key := repeated(n); key != nil {
		return nil, fault{key.Line, fmt.Sprintf("the key %q is here for the second time", key.Value)}
	}
	for i, child := range n.Content {
		if n.Kind == yaml.MappingNode && isMerge(n.Content[i-i%2]) {
			if i%2 == 1 {
				merged = append(merged, child)
			}
			continue
		}
		one, err := e.expand(child, depth-1)
		if err != nil {
			return nil, err
		}
		out.Content = append(out.Content, one)
	}
	for _, m := range merged {
		if err := e.merge(&out, m, depth-1); err != nil {
			return nil, err
		}
	}
	return &out, nil
}

// repeated is a mapping's first key that is there twice; nil for none.
func repeated(n *yaml.Node) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yaml.ScalarNode && !isMerge(key) {
			if seen[key.Value] {
				return key
			}
			seen[key.Value] = true
		}
	}
	return nil
}

func isMerge(key *yaml.Node) bool { return key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" }

// merge adds the members of what a merge key names that the mapping does not have itself: of
// several mappings the earlier goes first.
func (e *expander) merge(into, from *yaml.Node, depth int) error {
	from, err := e.expand(from, depth)
	if err != nil {
		return err
	}
	if from.Kind == yaml.SequenceNode {
		for _, one := range from.Content {
			if err := e.merge(into, one, depth-1); err != nil {
				return err
			}
		}
		return nil
	}
	if from.Kind != yaml.MappingNode {
		return fault{from.Line, "a merge key is followed by something that has no members"}
	}
	for i := 0; i+1 < len(from.Content); i += 2 {
		if member(into, from.Content[i].Value) == nil {
			into.Content = append(into.Content, from.Content[i], from.Content[i+1])
		}
	}
	return nil
}

// content is what a document says, its aliases and merge keys followed.
func content(n *yaml.Node) (any, error) {
	expanded, err := expand(n)
	if err != nil {
		return nil, err
	}
	return value(expanded)
}

// value is a node without aliases as JSON would have it, numbers as they are written.
func value(n *yaml.Node) (any, error) {
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if key.Kind != yaml.ScalarNode {
				return nil, fault{key.Line, "a key must be a word"}
			}
			v, err := value(n.Content[i+1])
			if err != nil {
				return nil, err
			}
			m[key.Value] = v
		}
		return m, nil
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, child := range n.Content {
			v, err := value(child)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	}
	return scalar(n)
}

func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value), nil
		}
		var number any
		if err := n.Decode(&number); err != nil {
			return nil, fault{n.Line, err.Error()}
		}
		if _, err := json.Marshal(number); err != nil { // .inf and .nan, which JSON does not have
			return n.Value, nil
		}
		return json.Number(fmt.Sprint(number)), nil
	}
	return n.Value, nil
}

func equal(a, b any) bool { return reflect.DeepEqual(a, b) }

// nodeOf is a JSON value as a node that is written in the way of YAML.
func nodeOf(text json.RawMessage) (*yaml.Node, error) {
	n, err := load(text)
	if err != nil {
		return nil, err
	}
	block(n)
	return n, nil
}

// block takes the braces and quotes of JSON from a node. What would be read otherwise
// without quotes gets them again when it is written.
func block(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0
	}
	for _, child := range n.Content {
		block(child)
	}
}

// apply does one operation of a patch to a node without aliases.
func apply(root *yaml.Node, op inject.Operation) error {
	steps := inject.Steps(op.Path)
	parent := root
	for _, step := range steps[:len(steps)-1] {
		if parent = child(parent, step); parent == nil {
			return fmt.Errorf("there is no %s", op.Path)
		}
	}
	last := steps[len(steps)-1]
	if op.Op == "remove" {
		if !removeMember(parent, last) {
			return fmt.Errorf("there is no %s", op.Path)
		}
		return nil
	}
	n, err := nodeOf(op.Value)
	if err != nil {
		return err
	}
	switch old := child(parent, last); {
	case parent.Kind == yaml.SequenceNode && last == "-":
		parent.Content = append(parent.Content, n)
		parent.Style &^= yaml.FlowStyle
	case old != nil:
		n.HeadComment, n.LineComment, n.FootComment = old.HeadComment, old.LineComment, old.FootComment
		*old = *n
	case parent.Kind == yaml.MappingNode:
		parent.Content = append(parent.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: last}, n)
	default:
		return fmt.Errorf("there is no %s", op.Path)
	}
	return nil
}

// removeMember takes a key and its value from a mapping, and says whether it was there.
func removeMember(n *yaml.Node, key string) bool {
	if i := keyIndex(n, key); i >= 0 {
		n.Content = slices.Delete(n.Content, i, i+2)
		return true
	}
	return false
}

// child is a mapping's member or a list's element; nil when there is none.
func child(n *yaml.Node, step string) *yaml.Node {
	if n.Kind == yaml.SequenceNode {
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
		return nil
	}
	return member(n, step)
}

// writeJSON writes a node as JSON in the order that it has. An indent of 0 is for one line.
func writeJSON(n *yaml.Node, indent int) ([]byte, error) {
	var b bytes.Buffer
	if err := appendJSON(&b, n); err != nil {
		return nil, err
	}
	if indent == 0 {
		return append(b.Bytes(), '\n'), nil
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, b.Bytes(), "", strings.Repeat(" ", indent)); err != nil {
		return nil, err
	}
	return append(pretty.Bytes(), '\n'), nil
}

func appendJSON(b *bytes.Buffer, n *yaml.Node) error {
	brackets := map[yaml.Kind]string{yaml.MappingNode: "{}", yaml.SequenceNode: "[]"}[n.Kind]
	if brackets == "" {
		v, err := scalar(n)
		if err != nil {
			return err
		}
		return encodeJSON(b, v)
	}
	b.WriteByte(brackets[0])
	for i, child := range n.Content {
		isValue := n.Kind == yaml.MappingNode && i%2 == 1
		switch {
		case isValue:
			b.WriteByte(':')
		case i > 0:
			b.WriteByte(',')
		}
		if n.Kind == yaml.MappingNode && !isValue {
			if err := encodeJSON(b, child.Value); err != nil {
				return err
			}
			continue
		}
		if err := appendJSON(b, child); err != nil {
			return err
		}
	}
	b.WriteByte(brackets[1])
	return nil
}

// encodeJSON leaves <, > and & as they are.
func encodeJSON(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line's end
	return nil
}

// at finds what a path leads to, through aliases too; nil when it is not there.
func at(n *yaml.Node, steps []string) *yaml.Node {
	for _, step := range steps {
		if n == nil {
			return nil
		}
		n = child(n, step)
	}
	return n
}
