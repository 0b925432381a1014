package manifest

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/countersign-dev/countersign/deploy/inject"
)

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		stream string
		want   []string
		lines  []int
	}{
		{"", nil, nil},
		{"a: 1", []string{"a: 1"}, []int{1}},
		{"---\na: 1\n---\nb: 2\n", []string{"---\na: 1\n", "---\nb: 2\n"}, []int{1, 3}},
		{"a: |\n  ---\n  x\n---x: 1\n", []string{"a: |\n  ---\n  x\n---x: 1\n"}, []int{1}},
		{"# c\n\n--- # d\n--- {a: 1}\n---", []string{"# c\n\n", "--- # d\n", "--- {a: 1}\n", "---"}, []int{1, 3, 4, 5}},
		{"a\r\n---\r\nb\r\n", []string{"a\r\n", "---\r\nb\r\n"}, []int{1, 2}},
	} {
		chunks := split([]byte(tt.stream))
		if len(chunks) != len(tt.want) {
			t.Errorf("%q: %d documents, want %d", tt.stream, len(chunks), len(tt.want))
			continue
		}
		for i, c := range chunks {
			if string(c.text) != tt.want[i] || c.line != tt.lines[i] {
				t.Errorf("%q: document %d is %q in line %d, want %q in line %d", tt.stream, i, c.text, c.line, tt.want[i], tt.lines[i])
			}
		}
	}
}

func TestStreamsThatCannotBeRead(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 10), ", ") + "]\n"
	}
	for _, tt := range []struct{ name, stream, want string }{
		{"not YAML", "a: 1\n---\nb: [\n", "line 4: this is not YAML: "},
		{"a template of Helm", "a: {{ .Values.a }}\n", "line 1: "},
		{"a key twice", "kind: A\nkind: B\n", "line 2: the key \"kind\" is here for the second time"},
		{"a list as a key", "? [a]\n: b\n", "line 1: a key must be a word"},
		{"aliases for too much", bomb, "line "},
		{"an alias for itself", "a: &a\n  b: *a\n", "line "},
		{"an alias for nothing", "a: *b\n", "line 1: this is not YAML: "},
		{"a merge of a word", "a:\n  <<: b\n", "line 2: a merge key is followed by something that has no members"},
		{"a Deployment without pods", "a: 1\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n", "Deployment a: it has no spec.template"},
		{"a Pod that is none", "apiVersion: v1\nkind: Pod\nspec: 7\n", "Pod : cannot read the pod: "},
		{"a Service that is none", "apiVersion: v1\nkind: Service\nspec: 7\n", "the document that begins in line 1: cannot read the Service: "},
	} {
		out, _, err := Inject([]byte(tt.stream), inject.Defaults())
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) || out != nil {
			t.Errorf("%s: %v, %q, want %s", tt.name, err, out, tt.want)
		}
	}
}

// FuzzInject gives streams of anything. What is not injected must stay as it is, and what is must
// stay so the second time.
func FuzzInject(f *testing.F) {
	files, err := filepath.Glob("../testdata/shapes/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, section := range txtar.Parse(text).Files {
			f.Add(section.Data)
		}
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		out, notices, err := Inject(stream, inject.Defaults())
		if err != nil {
			if strings.Contains(err.Error(), "\n") || errors.Unwrap(err) == err {
				t.Errorf("an error of several lines: %q", err)
			}
			return
		}
		injected := 0
		for _, n := range notices {
			if n.Outcome == Injected {
				injected++
			}
		}
		if injected == 0 {
			if !bytes.Equal(out, stream) {
				t.Errorf("nothing was injected, and the stream has changed:\n%q\n%q", stream, out)
			}
			return
		}
		again, notices, err := Inject(out, inject.Defaults())
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("a second time: %v, %v\n%s\n%s", err, notices, out, again)
		}
	})
}
