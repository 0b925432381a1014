package verify

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestVectors compares the files in testdata, which examples read, with what the
// definitions give: the formats do not change unnoticed.
func TestVectors(t *testing.T) {
	l := newTestLog(t).evidence("a blob").fill(4)
	files := mapSource{"kept.checkpoint": l.checkpoint(t, 2), "entry-2.tlog-proof": []byte(l.proof(t, 2))}
	for path, data := range l.bundle(t) {
		files["bundle/"+path] = data
	}
	if *update {
		if err := os.RemoveAll(filepath.Join("testdata", "bundle")); err != nil {
			t.Fatal(err)
		}
		files.write(t, "testdata")
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		data, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(path)))
		if err != nil || string(data) != string(files[path]) {
			t.Errorf("%s: %q, %v instead of %q", path, data, err, files[path])
		}
	}
}
