package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/witness"
)

func TestCheck(t *testing.T) {
	closed := closedLog(t, 1)
	other := newTestKey(t, "example.com/other")
	for _, test := range []struct {
		name   string
		change func(t *testing.T, o *Options)
		words  string // "" when nothing is wrong
	}{
		{"a log", func(*testing.T, *Options) {}, ""},
		{"a new log", func(t *testing.T, o *Options) { o.Dir = filepath.Join(t.TempDir(), "a", "b") }, ""},
		{"a new log with a key", func(t *testing.T, o *Options) {
			o.Dir, o.Origin, o.Signer = t.TempDir(), "", other.secret
		}, ""},
		{"no directory", func(_ *testing.T, o *Options) { o.Dir = "" }, "set Dir"},
		{"a file for a directory", func(_ *testing.T, o *Options) { o.Dir = filepath.Join(o.Dir, keyName) }, "not a directory"},
		{"a file for a new directory's parent", func(_ *testing.T, o *Options) { o.Dir = filepath.Join(o.Dir, keyName, "a") }, "not a directory"},
		{"a file for the anchor's parent", func(t *testing.T, o *Options) {
			o.AnchorDir = filepath.Join(o.Dir, keyName, "a")
			o.Dir = t.TempDir()
		}, "not a directory"},
		{"no origin", func(t *testing.T, o *Options) { o.Dir, o.Origin = t.TempDir(), "" }, "needs an origin"},
		{"a key that is none", func(_ *testing.T, o *Options) { o.Signer = "PRIVATE+KEY+x" }, "not a note signer key"},
		{"a key of another log", func(_ *testing.T, o *Options) { o.Signer = other.secret }, "example.com/other+"},
		{"a key file that others can read", func(t *testing.T, o *Options) {
			if err := os.Chmod(filepath.Join(o.Dir, keyName), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chmod 600"},
		{"a key file that is lost", func(t *testing.T, o *Options) {
			if err := os.Remove(filepath.Join(o.Dir, keyName)); err != nil {
				t.Fatal(err)
			}
		}, "no such file"},
		{"an anchor elsewhere", func(t *testing.T, o *Options) { o.AnchorDir = t.TempDir() }, "has no anchor"},
		{"a key alone", func(t *testing.T, o *Options) {
			for _, name := range []string{"store", "anchor"} {
				if err := os.RemoveAll(filepath.Join(o.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}, "is the key of a ledger"},
		{"witnesses without a URL", func(t *testing.T, o *Options) { o.Witnesses = &witness.Policy{Quorum: "none"} }, "witness"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := closed
			o.Dir = filepath.Join(t.TempDir(), "ledger")
			copyTree(t, closed.Dir, o.Dir)
			root := filepath.Dir(o.Dir)
			test.change(t, &o)
			before := snapshot(t, root)
			err := Check(o)
			if test.words == "" && err != nil || test.words != "" && (err == nil || !strings.Contains(err.Error(), test.words)) {
				t.Errorf("Check: %v, want %q", err, test.words)
			}
			if after := snapshot(t, root); after != before {
				t.Errorf("Check has changed\n%s\nto\n%s", before, after)
			}
			if l, err := Open(t.Context(), o); err == nil && test.words != "" {
				l.Close()
				t.Error("Open takes what Check refuses")
			} else if err == nil {
				closeLog(t, l)
			} else if test.words == "" {
				t.Errorf("Open refuses what Check takes: %v", err)
			}
		})
	}
}

func TestCheckOfAnOpenLog(t *testing.T) {
	o := testOptions(t)
	openLog(t, o)
	if err := Check(o); !errors.Is(err, ErrLocked) {
		t.Errorf("Check: %v, want ErrLocked", err)
	}
}

// TestCheckOfADirectoryWithoutPermission runs as a user whom permissions bind.
func TestCheckOfADirectoryWithoutPermission(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o700) })
	err := checkWritable(filepath.Join(dir, "a"))
	if os.Geteuid() == 0 {
		if err != nil {
			t.Errorf("root can write everywhere: %v", err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%v, want the directory that cannot be written to", err)
	}
}
