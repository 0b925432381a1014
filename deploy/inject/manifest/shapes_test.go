package manifest

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/countersign-dev/countersign/deploy/inject"
)

var update = flag.Bool("update", false, "rewrite what the shapes in ../testdata/shapes become")

// shape is one file there: what it shows, the defaults that it is injected with, the manifests, what
// is said of them, and what they become, unless they stay as they are.
type shape struct {
	file     string
	archive  *txtar.Archive
	defaults inject.Options
}

func readShape(t *testing.T, file string) shape {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	annotations := map[string]string{}
	for line := range strings.Lines(string(archive.Comment)) {
		if given, ok := strings.CutPrefix(strings.TrimSpace(line), "default "); ok {
			name, value, _ := strings.Cut(given, "=")
			annotations[inject.Prefix+name] = value
		}
	}
	s := shape{file: file, archive: archive, defaults: inject.Defaults()}
	s.defaults.Version = "v1.0.0"
	if s.defaults, err = inject.FromAnnotations(s.defaults, annotations); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s shape) section(name string) []byte {
	for _, f := range s.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func said(notices []Notice) []byte {
	var b bytes.Buffer
	for _, n := range notices {
		_, _ = fmt.Fprintf(&b, "%s %s: %s\n", n.Outcome, n.Object, n.Text())
		for _, text := range n.Warnings {
			_, _ = fmt.Fprintf(&b, "warning: %s\n", text)
		}
	}
	return b.Bytes()
}

func TestShapes(t *testing.T) {
	files, err := filepath.Glob("../testdata/shapes/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d shapes: %v", len(files), err)
	}
	outcomes := map[Outcome]int{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := readShape(t, file)
			in := s.section("in")
			out, notices, err := Inject(in, s.defaults)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range notices {
				outcomes[n.Outcome]++
			}
			s.compare(t, out, notices)
			again, notices, err := Inject(out, s.defaults)
			if err != nil || !bytes.Equal(again, out) || bytes.Contains(said(notices), []byte("other options")) {
				t.Errorf("injected again it changes: %v\n%s%s", err, said(notices), diff.Diff("once", out, "twice", again))
			}
		})
	}
	for _, one := range []Outcome{Injected, Refused, Unchanged} {
		if outcomes[one] == 0 {
			t.Errorf("no shape is %s", one)
		}
	}
}

// compare holds what has come out against what the file has.
func (s shape) compare(t *testing.T, out []byte, notices []Notice) {
	in, wanted := s.section("in"), s.section("out")
	if wanted == nil {
		wanted = in
	}
	if bytes.Equal(out, wanted) && bytes.Equal(said(notices), s.section("said")) {
		return
	}
	if !*update {
		t.Errorf("%s\n%sgo test ./deploy/inject/manifest -update rewrites it", diff.Diff("wanted", s.section("said"), "said", said(notices)), diff.Diff("wanted", wanted, "injected", out))
		return
	}
	files := []txtar.File{{Name: "in", Data: in}, {Name: "said", Data: said(notices)}}
	if !bytes.Equal(in, out) {
		files = append(files, txtar.File{Name: "out", Data: out})
	}
	if err := os.WriteFile(s.file, txtar.Format(&txtar.Archive{Comment: s.archive.Comment, Files: files}), 0o644); err != nil {
		t.Fatal(err)
	}
}
