package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// document is a configuration file while it is read into a Config.
type document struct {
	name     string
	loaded   *Loaded
	problems Problems
}

// readYAML reads data, the content of the file name, over what l holds.
// Nothing is guessed: an unknown or repeated key and a value of another type
// than the setting's are problems with their line and column.
func (l *Loaded) readYAML(name string, data []byte) Problems {
	d := &document{name: name, loaded: l}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		d.syntax(err)
		return d.problems
	}
	var first, second yaml.Node
	switch err := loader.Load(&first); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		d.syntax(err)
		return d.problems
	}
	d.sections(resolve(first.Content[0]))
	switch err := loader.Load(&second); {
	case err == nil:
		d.problem(&second, "a second document begins here: a configuration is one")
	case !errors.Is(err, io.EOF):
		d.syntax(err)
	}
	return d.problems
}

func (d *document) problem(n *yaml.Node, text string, args ...any) {
	d.problems = append(d.problems, Problem{Where: d.origin(n).String(), Text: fmt.Sprintf(text, args...)})
}

func (d *document) origin(n *yaml.Node) Origin {
	return Origin{Source: FromFile, Name: d.name, Line: n.Line, Column: n.Column}
}

func (d *document) syntax(err error) {
	at := Origin{Source: FromFile, Name: d.name, Line: 1, Column: 1}
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		at.Line, at.Column = max(1, load.Mark.Line), max(1, load.Mark.Column)
		text = load.Message
	}
	text = strings.Join(strings.Fields(text), " ")
	d.problems = append(d.problems, Problem{Where: at.String(), Text: "not valid YAML: " + text})
}

// resolve follows an alias to the node it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pairs calls f for each key of the mapping n that is plain text and was not
// met before.
func (d *document) pairs(n *yaml.Node, f func(key, value *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolve(n.Content[i]), resolve(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			d.problem(n.Content[i], "a key must be a plain word")
			continue
		}
		if line, again := seen[key.Value]; again {
			d.problem(n.Content[i], "key %q is given twice, first on line %d: keep one", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		f(key, value)
	}
}

func (d *document) sections(root *yaml.Node) {
	if isNull(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		d.problem(root, "the file must hold sections such as \"upstream:\" with their keys below")
		return
	}
	d.pairs(root, func(key, value *yaml.Node) {
		known := keysOf(key.Value)
		switch {
		case len(known) == 0:
			d.problem(key, "unknown section %q%s", key.Value, sectionHint(key.Value))
		case isNull(value):
		case value.Kind != yaml.MappingNode:
			d.problem(value, "%q is a section: put its keys on lines of their own below it (%s)", key.Value, strings.Join(known, ", "))
		default:
			d.section(key.Value, known, value)
		}
	})
}

func (d *document) section(section string, known []string, n *yaml.Node) {
	d.pairs(n, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == section+"."+key.Value })
		if i < 0 {
			d.problem(key, "unknown key %q in section %q%s", key.Value, section, keyHint(key.Value, known))
			return
		}
		d.setting(fields[i], value)
	})
}

func (d *document) setting(f Field, n *yaml.Node) {
	text, err := scalarOrList(f, n)
	if err == nil {
		err = f.set(&d.loaded.Config, text)
	}
	if err != nil {
		d.problem(n, "%s %v", f.Key, err)
		return
	}
	d.loaded.origins[f.Key] = d.origin(n)
}

// scalarOrList returns the text of n, or says that n is of another type than
// the setting. The error completes the sentence "KEY …".
func scalarOrList(f Field, n *yaml.Node) (string, error) {
	if isNull(n) {
		return "", errors.New("has no value: give one, or leave the key out to use the default")
	}
	if f.IsList() {
		return listText(n)
	}
	if n.Kind != yaml.ScalarNode {
		return "", errors.New("must be a single value")
	}
	tag := n.ShortTag()
	switch f.at(new(Config)).(type) {
	case *string:
		if tag != "!!str" {
			return "", fmt.Errorf("must be text: put quotes round it, %q", n.Value)
		}
	case *bool:
		if tag != "!!bool" {
			return "", fmt.Errorf("must be true or false, not %q", n.Value)
		}
	case *int:
		if tag != "!!int" {
			return "", fmt.Errorf("must be a whole number, such as 128, not %q", n.Value)
		}
	case *time.Duration, *Size:
		if tag != "!!str" && tag != "!!int" {
			return "", parse(f.at(new(Config)), "")
		}
	}
	return n.Value, nil
}

func listText(n *yaml.Node) (string, error) {
	if n.Kind != yaml.SequenceNode {
		return "", fmt.Errorf("must be a list: write it as [%s]", n.Value)
	}
	items := make([]string, 0, len(n.Content))
	for _, item := range n.Content {
		item = resolve(item)
		if item.Kind != yaml.ScalarNode || item.ShortTag() != "!!str" || strings.TrimSpace(item.Value) == "" {
			return "", fmt.Errorf("must be a list of texts, and the one on line %d is not", item.Line)
		}
		if strings.Contains(item.Value, ",") {
			return "", fmt.Errorf("must have one text an item, and the one on line %d holds a comma", item.Line)
		}
		items = append(items, item.Value)
	}
	return strings.Join(items, ","), nil
}

// keysOf returns the names of the keys in a section; none if there is no
// such section.
func keysOf(section string) []string {
	var keys []string
	for _, f := range fields {
		if key, ok := strings.CutPrefix(f.Key, section+"."); ok {
			keys = append(keys, key)
		}
	}
	return keys
}

func sectionNames() []string {
	var names []string
	for _, f := range fields {
		name, _, _ := strings.Cut(f.Key, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// sectionHint also catches a flag's name or a section's key written at the
// top of the file.
func sectionHint(word string) string {
	for _, f := range fields {
		_, key, _ := strings.Cut(f.Key, ".")
		if word == f.Key || word == key || word == f.Flag || word == strings.ReplaceAll(f.Flag, "-", "_") {
			section, _, _ := strings.Cut(f.Key, ".")
			return fmt.Sprintf("; did you mean %q in section %q?", key, section)
		}
	}
	if near := didYouMean(word, sectionNames()); near != "" {
		return near
	}
	return "; the sections are " + strings.Join(sectionNames(), ", ")
}

func keyHint(word string, known []string) string {
	if near := didYouMean(word, known); near != "" {
		return near
	}
	return "; it has " + strings.Join(known, ", ")
}
