package policy

import (
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/strictyaml"
)

// Problems is everything found wrong with a policy, in the order it was met.
// As an error it is the first problem and the number of the others.
type Problems []strictyaml.Problem

func (p Problems) Error() string { return strictyaml.Summary(p, "countersign policy lint") }

// Lines returns the problems one to a line.
func (p Problems) Lines() string { return strictyaml.Lines(p) }

// asError keeps an empty list from becoming a non-nil error.
func (p Problems) asError() error {
	if len(p) == 0 {
		return nil
	}
	return p
}

// Parse reads a YAML document, the content of the file name: what it leaves
// out has its default. The error is a Problems with FILE:LINE:COL for each.
func Parse(name string, data []byte) (*Policy, error) {
	p := Default()
	d := &document{places: map[string]string{"": name}}
	problems := strictyaml.Read(name, data, func(r *strictyaml.Reader, root *yaml.Node) {
		d.Reader = r
		d.mapping("", root, reflect.ValueOf(p).Elem())
	})
	sound := len(problems) == 0
	for _, f := range p.faults() {
		// In a document with other problems only what it says itself is judged:
		// the rest may be wrong because of them.
		if _, said := d.places[f.Key]; said || sound {
			problems = append(problems, strictyaml.Problem{Where: d.placeOf(f.Key), Text: f.Error()})
		}
	}
	if len(problems) > 0 {
		return nil, Problems(problems)
	}
	return p, nil
}

// document is a policy while it is read, and where its keys stand.
type document struct {
	*strictyaml.Reader
	places map[string]string
}

// placeOf is where a key stands, or the nearest group around it that does.
func (d *document) placeOf(key string) string {
	for {
		if where, ok := d.places[key]; ok {
			return where
		}
		key = key[:max(0, strings.LastIndexAny(key, ".["))]
	}
}

func (d *document) mapping(key string, n *yaml.Node, v reflect.Value) {
	if strictyaml.IsNull(n) {
		return
	}
	var names []string
	for e := range entries(v) {
		names = append(names, e.name)
	}
	if n.Kind != yaml.MappingNode {
		d.Problem(n, "%s must hold keys, each on a line of its own below it: %s", orDocument(key), strings.Join(names, ", "))
		return
	}
	prefix := key
	if prefix != "" {
		prefix += "."
	}
	d.Pairs(n, func(k, value *yaml.Node) {
		for e := range entries(v) {
			if e.name == k.Value {
				d.places[prefix+e.name] = d.Where(value)
				d.value(prefix+e.name, value, e)
				return
			}
		}
		d.Problem(k, "unknown key %q in %s%s", k.Value, orDocument(key), hint(k.Value, names))
	})
}

func orDocument(key string) string {
	if key == "" {
		return "the policy"
	}
	return key
}

// hint also catches a duration written as the JSON has it.
func hint(word string, names []string) string {
	for _, name := range names {
		if word == name+secondsSuffix {
			return fmt.Sprintf("; did you mean %q, with the unit in its value?", name)
		}
	}
	return strictyaml.Unknown(word, names)
}

func (d *document) value(key string, n *yaml.Node, e entry) {
	switch e.value.Kind() {
	case reflect.Struct:
		d.mapping(key, n, e.value)
	case reflect.Slice:
		d.list(key, n, e.value)
	default:
		if err := d.scalar(n, e); err != nil {
			d.Problem(n, "%s %v", key, err)
		}
	}
}

func (d *document) scalar(n *yaml.Node, e entry) error {
	if strictyaml.IsNull(n) {
		return fmt.Errorf("has no value: give one, or leave the key out to use the default")
	}
	if n.Kind != yaml.ScalarNode {
		return fmt.Errorf("must be a single value")
	}
	tag := n.ShortTag()
	switch _, text := e.value.Interface().(string); {
	case text && tag != "!!str":
		return fmt.Errorf("must be text: put quotes round it, %q", n.Value)
	case e.value.Kind() == reflect.Bool && tag != "!!bool":
		return fmt.Errorf("must be true or false, not %q", n.Value)
	case (e.value.CanInt() || e.value.CanUint()) && tag != "!!int",
		e.value.CanFloat() && !e.duration && tag != "!!int" && tag != "!!float":
		return fmt.Errorf("must be a number without quotes, not %q", n.Value)
	}
	return e.set(n.Value)
}

// list replaces what the default has.
func (d *document) list(key string, n *yaml.Node, v reflect.Value) {
	if strictyaml.IsNull(n) {
		n = &yaml.Node{Kind: yaml.SequenceNode}
	}
	if n.Kind != yaml.SequenceNode {
		d.Problem(n, "%s must be a list: begin each item with a hyphen", key)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, len(n.Content)))
	for i, item := range n.Content {
		item = strictyaml.Resolve(item)
		one := newItem(v.Type().Elem())
		itemKey := fmt.Sprintf("%s[%d]", key, i)
		d.places[itemKey] = d.Where(item)
		if one.Kind() == reflect.Struct && strictyaml.IsNull(item) {
			d.Problem(item, "%s has no value", itemKey)
			continue
		}
		d.value(itemKey, item, entry{value: one})
		v.Set(reflect.Append(v, one))
	}
}

// newItem is an item of a list before it is read: with its own defaults.
func newItem(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch item := v.Addr().Interface().(type) {
	case *Check:
		*item = Check{Method: "GET", Status: []int{}, IntervalSeconds: 30, TimeoutSeconds: 5}
	case *BurnWindow:
		*item = BurnWindow{Severity: health.Critical}
	}
	return v
}
