package kinds

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/strictyaml"
)

var update = flag.Bool("update", false, "rewrite the settings in docs/NOTIFICATIONS.md")

const (
	docFile  = "../../../docs/NOTIFICATIONS.md"
	docBegin = "<!-- settings: written by go test ./orchestrator/notify/kinds -update -->\n"
	docEnd   = "<!-- end of settings -->\n"
)

// tables are the settings of every kind as the documentation lists them.
func tables() string {
	var b strings.Builder
	for _, k := range All() {
		_, _ = fmt.Fprintf(&b, "\n| `kind: %s` | Default | Meaning |\n|---|---|---|\n", k.Name)
		for _, s := range k.Settings {
			key, def := "`"+s.Key+"`", ""
			if s.Secret {
				key = "`" + s.Key + "_file` or `" + s.Key + "_env`"
			}
			switch {
			case s.Required:
				def = "(needed)"
			case s.Default != "":
				def = "`" + s.Default + "`"
			}
			_, _ = fmt.Fprintf(&b, "| %s | %s | %s |\n", key, def, s.Help)
		}
	}
	return b.String() + "\n"
}

func documentation(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestDocumentationListsTheSettings(t *testing.T) {
	before, rest, found := strings.Cut(documentation(t), docBegin)
	table, after, ended := strings.Cut(rest, docEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the settings", docFile)
	}
	if table == tables() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the settings as they are: run go test ./orchestrator/notify/kinds -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+tables()+docEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Every example is read as a user's file, and there is one of every kind.
func TestDocumentationExamples(t *testing.T) {
	seen := map[string]bool{}
	rest := documentation(t)
	for {
		_, after, found := strings.Cut(rest, "```yaml\n")
		if !found {
			break
		}
		example, after, _ := strings.Cut(after, "```")
		rest = after
		var channels []notify.Config
		problems := strictyaml.Read("example.yaml", []byte(example), func(r *strictyaml.Reader, n *yaml.Node) {
			r.Pairs(n, func(key, value *yaml.Node) {
				switch key.Value {
				case "channels":
					channels = notify.ParseChannels(r, value, All())
				case "contacts":
					if len(notify.ParseContacts(r, value, channels)) == 0 {
						t.Error("an example has no contacts")
					}
				default:
					r.Problem(key, "unknown key %q", key.Value)
				}
			})
		})
		if problems != nil {
			t.Errorf("%s%s", example, strictyaml.Lines(problems))
		}
		for _, c := range channels {
			seen[c.Kind] = true
		}
	}
	for _, k := range All() {
		if !seen[k.Name] {
			t.Errorf("there is no example of the kind %s", k.Name)
		}
	}
}

func TestKinds(t *testing.T) {
	names := map[string]bool{}
	for _, k := range All() {
		if names[k.Name] || k.Title == "" || k.New == nil {
			t.Errorf("%+v", k)
		}
		names[k.Name] = true
		for _, s := range k.Settings {
			if s.Help == "" || s.Secret && (s.Default != "" || s.Check != nil) {
				t.Errorf("%s: %+v", k.Name, s)
			}
			if s.Default != "" && s.Check != nil && s.Check(s.Default) != nil {
				t.Errorf("%s: the default of %s is not allowed", k.Name, s.Key)
			}
		}
	}
}
