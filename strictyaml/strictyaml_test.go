package strictyaml

import (
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, keys, problems string }{
		{"nothing", "", "", ""},
		{"comments alone", "# nothing\n", "", ""},
		{"two keys", "a: 1\nb: 2\n", "a=1 b=2 ", ""},
		{"a key twice", "a: 1\nb: 2\na: 3\n", "a=1 b=2 ", "f:3:1: key \"a\" is given twice, first on line 1: keep one\n"},
		{"a list for a key", "[x]: 1\n", "", "f:1:1: a key must be a plain word\n"},
		{"an alias", "a: &x 1\nb: *x\n", "a=1 b=1 ", ""},
		{"two documents", "a: 1\n---\nb: 2\n", "a=1 ", "f:2:1: a second document begins here: a configuration is one\n"},
		{"not YAML", "a: [1\n", "", "f:2:1: not valid YAML: did not find expected ',' or ']'\n"},
	} {
		keys := ""
		problems := Read("f", []byte(c.text), func(r *Reader, root *yaml.Node) {
			if !IsNull(root) {
				r.Pairs(root, func(key, value *yaml.Node) { keys += key.Value + "=" + value.Value + " " })
			}
		})
		if keys != c.keys || Lines(problems) != c.problems {
			t.Errorf("%s: keys %q, problems %q; want %q and %q", c.name, keys, Lines(problems), c.keys, c.problems)
		}
	}
}

func TestItems(t *testing.T) {
	for _, c := range []struct {
		text, items, problems string
		read                  bool
	}{
		{"[]", "", "", true},
		{"[a, b]", "a b ", "", true},
		{"~", "", "", false},
		{"a: 1", "", "f:1:1: models must be a list: begin each with \"- id: NAME\" on a line of its own\n", false},
		{"[a, b, c]", "", "f:1:1: there are 3 models, and at most 2 are asked\n", false},
	} {
		items, read := "", false
		problems := Read("f", []byte(c.text), func(r *Reader, root *yaml.Node) {
			read = r.Items(root, "models", "id", 2, "are asked", func(item *yaml.Node) { items += item.Value + " " })
		})
		if items != c.items || read != c.read || Lines(problems) != c.problems {
			t.Errorf("%s: read %v, items %q, problems %q; want %v, %q and %q", c.text, read, items, Lines(problems), c.read, c.items, c.problems)
		}
	}
}

func TestSummary(t *testing.T) {
	one := Problem{Where: "f:1:2", Text: "is wrong"}
	if got := Summary([]Problem{one}, "lint"); got != "f:1:2: is wrong" {
		t.Errorf("one problem is %q", got)
	}
	if got := Summary([]Problem{one, one, one}, "lint"); got != "f:1:2: is wrong (and 2 more: see lint)" {
		t.Errorf("three problems are %q", got)
	}
}
