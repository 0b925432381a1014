package bundle

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// verified runs the verifier over a bundle.
func verified(t *testing.T, where string, l *logtest.Log) *verify.Report {
	t.Helper()
	src, closer, err := verify.OpenSource(t.Context(), where)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = closer.Close() }()
	return verify.Log(t.Context(), src, verify.Options{Keys: []string{l.VKey()}})
}

// sound fails unless dir is exactly the bundle of the log at its present size
// and nothing is left beside it.
func sound(t *testing.T, dir string, l *logtest.Log) {
	t.Helper()
	if r := verified(t, dir, l); r.Code != verify.Verified || r.Size != l.Size() {
		t.Errorf("verdict %s of %d entries: %+v", r.Verdict, r.Size, r.Problem)
	}
	if got, want := contents(t, dir), l.Files(); !maps.Equal(got, want) {
		for path := range want {
			if !got[path] {
				t.Errorf("%s is missing", path)
			}
			delete(got, path)
		}
		t.Errorf("also there: %v", slices.Collect(maps.Keys(got)))
	}
	nothingBeside(t, dir)
}

func contents(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		path, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(path)] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func nothingBeside(t *testing.T, path string) {
	t.Helper()
	beside, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range beside {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// snapshot is every file with its content.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for path := range contents(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		files[path] = string(data)
	}
	return files
}
