package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var b strings.Builder
	Table(&b, []string{"a", "b"}, [][]string{{"1|2", "<x>\ny"}})
	if got, want := b.String(), "| a | b |\n|---|---|\n| 1\\|2 | &lt;x> y |\n\n"; got != want {
		t.Errorf("the table is %q, want %q", got, want)
	}
}

func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "results")
	for _, text := range []string{"first, and longer", "second"} {
		if err := Write(dir, "name", text, map[string]string{"a": "<" + text}); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{"name.md": "second", "name.json": "{\n \"a\": \"<second\"\n}\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
	if err := Write(filepath.Join(dir, "name.md"), "name", "", nil); err == nil || !strings.Contains(err.Error(), "cannot be kept") {
		t.Errorf("a report in a file: %v", err)
	}
	if err := Write(dir, "name", "", func() {}); err == nil {
		t.Error("figures that are none were written")
	}
}

func TestDirectory(t *testing.T) {
	for want, got := range map[string]string{
		"told": Directory("told", true), filepath.Join("bin", "bench"): Directory("", true), filepath.Join("bench", "results"): Directory("", false),
	} {
		if got != want {
			t.Errorf("the directory is %q, want %q", got, want)
		}
	}
}
