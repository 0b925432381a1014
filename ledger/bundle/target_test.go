package bundle

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
)

func TestTargetsThatCannotBe(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+10, "entry")
	other := logtest.New(t, "other")
	temp := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(temp, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("photos/cat.jpg", "meow")
	write("newer/countersign-ledger", "countersign-ledger/2\n")
	write("broken/countersign-ledger", verify.Format)
	write("broken/checkpoint", "nonsense")
	if _, err := Export(t.Context(), other, filepath.Join(temp, "other"), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(temp, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := lockDir(filepath.Join(temp, "taken"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	for name, want := range map[string]string{
		"none/bundle":    "the directory " + filepath.Join(temp, "none") + " does not exist, make it first",
		"photos":         "is not empty and is no bundle: give an empty or a new directory",
		"photos/cat.jpg": "is a file: give a directory, or the name of an archive, which ends in .tar.zst",
		"newer":          `is of another format ("countersign-ledger/2\n")`,
		"broken":         "is damaged",
		"other":          "",
		"taken":          "another export to it is under way",
	} {
		before := snapshot(t, temp)
		_, err := Export(t.Context(), l, filepath.Join(temp, name), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
		_, place := errors.AsType[*TargetError](err)
		if inside := name == "broken" || name == "other" || name == "taken"; place == inside {
			t.Errorf("%s: what is wrong with the place named, and not with what is there: %v", name, place)
		}
		if !maps.Equal(before, snapshot(t, temp)) {
			t.Errorf("%s: something has changed", name)
		}
	}
}

func TestDirectoriesThatCannotBeWritten(t *testing.T) {
	if os.Geteuid() == 0 {
		// Root writes everywhere but to file systems that are read-only.
		if _, err := Export(t.Context(), logtest.New(t, "log"), "/proc/self", nil); err == nil {
			t.Error("written to /proc")
		}
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(t.Context(), logtest.New(t, "log"), dir, nil); !errors.Is(err, unix.EACCES) {
		t.Errorf("%v", err)
	}
}

func TestSourcesThatAreNone(t *testing.T) {
	l := logtest.New(t, "log")
	for name, c := range map[string]struct {
		data []byte
		err  error
		want string
	}{
		"no checkpoint":        {nil, fs.ErrNotExist, "this is no log: it has no checkpoint"},
		"unreachable":          {nil, errors.New("connection refused"), "cannot read the log: connection refused"},
		"malformed checkpoint": {[]byte("hello\n"), nil, "the log's checkpoint is malformed"},
	} {
		l.Spoil(func(string, []byte) ([]byte, error) { return c.data, c.err })
		dir := filepath.Join(t.TempDir(), "bundle")
		if _, err := Export(t.Context(), l, dir, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the directory is there: %v", name, err)
		}
		nothingBeside(t, dir)
	}
}
