package dirlock

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLock: one alone, or several who share; the error names the directory.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	alone, err := Exclusive(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, take := range map[string]func(string) (*Lock, error){"alone": Exclusive, "shared": Shared} {
		if _, err := take(dir); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), dir) {
			t.Errorf("a second, %s: %v", name, err)
		}
	}
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		shared, err := Shared(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer shared.Close()
	}
	if _, err := Exclusive(dir); !errors.Is(err, ErrTaken) {
		t.Errorf("alone beside two who share: %v", err)
	}
	if _, err := Exclusive(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

// TestCloseWithACopy: the lock is free after Close although a copy of its file is open, as it is for a moment in every
// process that is started.
func TestCloseWithACopy(t *testing.T) {
	dir := t.TempDir()
	lock, err := Exclusive(dir)
	if err != nil {
		t.Fatal(err)
	}
	held, err := unix.Dup(int(lock.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Exclusive(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
