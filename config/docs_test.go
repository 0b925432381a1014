package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the settings in docs/CONFIGURATION.md")

const (
	docFile  = "../docs/CONFIGURATION.md"
	docBegin = "<!-- settings: written by go test ./config -update -->\n"
	docEnd   = "<!-- end of settings -->\n"
)

// settingsTable is the list of settings as the documentation has it.
func settingsTable() string {
	var b strings.Builder
	last := ""
	for _, f := range fields {
		section, _, _ := strings.Cut(f.Key, ".")
		if section != last {
			_, _ = fmt.Fprintf(&b, "\n### %s\n\n| Key | Flag and variable | Default | SIGHUP | Meaning |\n|---|---|---|---|---|\n", section)
			last = section
		}
		value, reload := "`"+f.Value(Default())+"`", "restart"
		if value == "``" {
			value = "none"
		}
		if f.Reloadable {
			reload = "reloads"
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | `--%s`<br>`%s` | %s | %s | %s |\n", f.Key, f.Flag, f.Env(), value, reload, strings.ReplaceAll(f.Usage, "|", "\\|"))
	}
	return b.String() + "\n"
}

func TestDocumentationListsTheSettings(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), docBegin)
	table, after, ended := strings.Cut(rest, docEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the settings", docFile)
	}
	if table == settingsTable() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the settings as they are: run go test ./config -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+settingsTable()+docEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocumentationExample reads the example in the documentation as a user's
// file.
func TestDocumentationExample(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	if _, err := Parse("example.yaml", []byte(example)); err != nil {
		t.Error(err)
	}
}
