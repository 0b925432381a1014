package inject

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table of annotations in docs/KUBERNETES.md")

const (
	docFile  = "../../docs/KUBERNETES.md"
	docBegin = "<!-- annotations: written by go test ./deploy/inject -update -->\n"
	docEnd   = "<!-- end of annotations -->\n"
)

// annotationTable is the list of options as the documentation has it.
func annotationTable() string {
	var b strings.Builder
	b.WriteString("\n| Annotation | Default | Meaning |\n|---|---|---|\n")
	for _, a := range own() {
		value := "`" + a.show(Defaults()) + "`"
		if value == "``" {
			value = "none"
		}
		_, _ = fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", Prefix, a.name, value, a.meaning)
	}
	return b.String() + "\n"
}

func TestDocumentationListsTheAnnotations(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), docBegin)
	table, after, ended := strings.Cut(rest, docEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the annotations", docFile)
	}
	if table == annotationTable() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list the annotations as they are: run go test ./deploy/inject -update", docFile)
	}
	if err := os.WriteFile(docFile, []byte(before+docBegin+annotationTable()+docEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
