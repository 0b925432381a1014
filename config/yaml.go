package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/strictyaml"
)

// document is a configuration file while it is read into a Config.
type document struct {
	*strictyaml.Reader
	name   string
	loaded *Loaded
}

// readYAML reads data, the content of the file name, over what l holds.
func (l *Loaded) readYAML(name string, data []byte) Problems {
	return strictyaml.Read(name, data, func(r *strictyaml.Reader, root *yaml.Node) {
		d := &document{Reader: r, name: name, loaded: l}
		d.sections(root)
	})
}

func (d *document) origin(n *yaml.Node) Origin {
	return Origin{Source: FromFile, Name: d.name, Line: n.Line, Column: n.Column}
}

func (d *document) sections(root *yaml.Node) {
	if strictyaml.IsNull(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		d.Problem(root, "the file must hold sections such as \"upstream:\" with their keys below")
		return
	}
	found := map[string]*yaml.Node{}
	d.Pairs(root, func(key, value *yaml.Node) {
		known := keysOf(key.Value)
		switch {
		case slices.Contains(listNames, key.Value):
			found[key.Value] = value
		case len(known) == 0:
			d.Problem(key, "unknown section %q%s", key.Value, sectionHint(key.Value))
		case strictyaml.IsNull(value):
		case value.Kind != yaml.MappingNode:
			d.Problem(value, "%q is a section: put its keys on lines of their own below it (%s)", key.Value, strings.Join(known, ", "))
		default:
			d.section(key.Value, known, value)
		}
	})
	d.lists(found)
}

func (d *document) section(section string, known []string, n *yaml.Node) {
	d.Pairs(n, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == section+"."+key.Value })
		if i < 0 {
			d.Problem(key, "unknown key %q in section %q%s", key.Value, section, strictyaml.Unknown(key.Value, known))
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
		d.Problem(n, "%s %v", f.Key, err)
		return
	}
	d.loaded.origins[f.Key] = d.origin(n)
}

// scalarOrList returns the text of n, or says that n is of another type than
// the setting. The error completes the sentence "KEY …".
func scalarOrList(f Field, n *yaml.Node) (string, error) {
	if strictyaml.IsNull(n) {
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
		item = strictyaml.Resolve(item)
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
	return append(names, listNames...)
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
	if near := strictyaml.DidYouMean(word, sectionNames()); near != "" {
		return near
	}
	return "; the sections are " + strings.Join(sectionNames(), ", ")
}
