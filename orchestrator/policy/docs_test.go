package policy

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/strictyaml"
)

var update = flag.Bool("update", false, "rewrite the keys in docs/POLICY.md")

const (
	docFile  = "../../docs/POLICY.md"
	docBegin = "<!-- keys: written by go test ./orchestrator/policy -update -->\n"
	docEnd   = "<!-- end of keys -->\n"
)

// keysTable is every single value as the documentation lists it.
func keysTable() string {
	var b strings.Builder
	last := "-"
	for key, e := range Default().scalars() {
		section, _, grouped := strings.Cut(key, ".")
		if !grouped {
			section = ""
		}
		if section != last {
			_, _ = fmt.Fprintf(&b, "\n| `%s` | Default | Meaning |\n|---|---|---|\n", section)
			last = section
		}
		_, _ = fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", key, e.text(), strings.ReplaceAll(comments[key], "\n", " "))
	}
	return strings.ReplaceAll(b.String(), "| `` |", "| |") + "\n"
}

func TestDocumentationListsTheKeys(t *testing.T) {
	text := documentation(t)
	before, rest, found := strings.Cut(text, docBegin)
	table, after, ended := strings.Cut(rest, docEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the keys", docFile)
	}
	if table == keysTable() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the keys as they are: run go test ./orchestrator/policy -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+keysTable()+docEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Wherever the text names a key with a value after it in brackets, that is
// its default.
func TestDocumentedDefaultsAreTheOnesCompiledIn(t *testing.T) {
	defaults := map[string]string{}
	for key, e := range Default().scalars() {
		defaults[key] = e.text()
	}
	named := regexp.MustCompile("`([a-z0-9_.]+)`\\s\\(([^)]+)\\)")
	checked := map[string]bool{}
	for _, m := range named.FindAllStringSubmatch(documentation(t), -1) {
		want, known := defaults[m[1]]
		switch {
		case !known && strings.Contains(m[1], "."):
			t.Errorf("%s is no key", m[1])
		case known && m[2] != want:
			t.Errorf("%s is said to be %s by default, and is %s", m[1], m[2], want)
		}
		checked[m[1]] = known
	}
	for key := range defaults {
		if !checked[key] && key != "version" && !strings.HasPrefix(key, "health.gates.") && key != "failures.mode" {
			t.Errorf("the text does not explain %s with its default", key)
		}
	}
	// A heading names a gate with its mode.
	p := Default()
	for _, heading := range []string{
		"absolute_threshold (" + string(p.Health.Gates.Absolute) + ")",
		"z_score (" + string(p.Health.Gates.ZScore) + ")",
		"adaptive_threshold (" + string(p.Health.Gates.Adaptive) + ")",
		"rate_of_change (" + string(p.Health.Gates.RateOfChange) + ")",
		"measurement (" + string(p.Health.Gates.Measurement) + ")",
		"consecutive_failures (`failures`, " + string(p.Failures.Mode) + ")",
		"burn_rate (" + string(p.Burn.Mode) + ")",
	} {
		if !strings.Contains(documentation(t), "### "+heading+"\n") {
			t.Errorf("no heading %q", heading)
		}
	}
	item := newCheckItem()
	for _, w := range []string{
		fmt.Sprintf("`interval` (%s)", strictyaml.Duration(seconds(item.IntervalSeconds))),
		fmt.Sprintf("`timeout` (%s)", strictyaml.Duration(seconds(item.TimeoutSeconds))),
		fmt.Sprintf("| %v | 1 h | 5 min |", p.Burn.Windows[0].Factor),
		fmt.Sprintf("| %v | 6 h | 30 min |", p.Burn.Windows[1].Factor),
	} {
		if !strings.Contains(strings.Join(strings.Fields(documentation(t)), " "), w) {
			t.Errorf("the text does not say %q", w)
		}
	}
}

// The example is read as a user's file.
func TestDocumentationExample(t *testing.T) {
	_, rest, _ := strings.Cut(documentation(t), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no example")
	}
	p, err := Parse("example.yaml", []byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if p.Checks[0].IntervalSeconds != 10 || p.Health.P95MS.Warning != 400 {
		t.Errorf("%+v", p)
	}
}

func documentation(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func newCheckItem() Check {
	p, err := Parse("one", []byte("checks: [{name: a, url: 'http://a/'}]"))
	if err != nil {
		panic(err)
	}
	return p.Checks[0]
}
