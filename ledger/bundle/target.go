package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger/dirlock"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// target is the directory of a bundle, locked.
type target struct {
	path       string
	lock       *dirlock.Lock
	made       bool   // by this export
	checkpoint []byte // that the bundle has; nil when it has none yet
}

// A TargetError says that what was named is no place for a bundle.
type TargetError struct{ Problem string }

func (e *TargetError) Error() string { return e.Problem }

func noPlace(format string, args ...any) error { return &TargetError{fmt.Sprintf(format, args...)} }

// openTarget makes or opens a bundle's directory and finds what can be wrong
// with it before anything is fetched.
func openTarget(dir string) (_ *target, err error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot find %s: %w", dir, err)
	}
	t := &target{path: path}
	if t.made, err = makeDir(path); err != nil {
		return nil, err
	}
	if t.lock, err = lockDir(path); err != nil {
		return nil, err // a directory just made stays: somebody else has it
	}
	if err := t.inspect(); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// makeDir makes a directory unless it is there.
func makeDir(path string) (made bool, err error) {
	err = os.Mkdir(path, 0o755)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, noPlace("cannot export to %s: the directory %s does not exist, make it first", path, filepath.Dir(path))
	case !errors.Is(err, fs.ErrExist):
		return false, fmt.Errorf("cannot make the bundle's directory: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return false, fmt.Errorf("cannot export to %s: %w", path, err)
	}
	if !info.IsDir() {
		return false, noPlace("%s is a file: give a directory, or the name of an archive, which ends in .tar.zst", path)
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return false, fmt.Errorf("cannot write to the directory %s: %w", path, err)
	}
	return false, nil
}

// makePrivateDir makes a directory for files on their way, which nobody else can
// read or change. Its name can be foreseen, so that what is there already must
// be such a directory itself and not lead to another.
func makePrivateDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return noPlace("cannot export: the directory %s does not exist, make it first", filepath.Dir(path))
	}
	if !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make a directory for files on their way: %w; it lies beside the bundle, which may need a directory of its own to lie in", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("cannot look at the directory for files on their way: %w", err)
	}
	problem := ""
	switch stat, ok := info.Sys().(*syscall.Stat_t); {
	case !info.IsDir():
		problem = "is not a directory"
	case !ok || int64(stat.Uid) != int64(os.Geteuid()):
		problem = "belongs to another user"
	case info.Mode().Perm()&0o077 != 0:
		problem = fmt.Sprintf("is open to others (mode %04o)", info.Mode().Perm())
	default:
		return nil
	}
	return fmt.Errorf("files on their way go to %s, which is there already and %s: remove it, or export elsewhere", path, problem)
}

// lockDir takes a directory for one export until it is closed.
func lockDir(path string) (*dirlock.Lock, error) {
	lock, err := dirlock.Exclusive(path)
	switch {
	case errors.Is(err, dirlock.ErrTaken):
		return nil, fmt.Errorf("cannot lock %s: another export to it is under way", path)
	case err != nil:
		return nil, fmt.Errorf("cannot open the bundle's directory: %w", err)
	}
	return lock, nil
}

// inspect makes sure that the directory is empty or a bundle, and reads the
// bundle's checkpoint.
func (t *target) inspect() error {
	entries, err := os.ReadDir(t.path)
	if err != nil {
		return fmt.Errorf("cannot read the bundle's directory: %w", err)
	}
	if len(entries) == 0 {
		return nil
	}
	format, err := os.ReadFile(filepath.Join(t.path, verify.FormatPath))
	switch {
	case errAbsent(err):
		return noPlace("%s is not empty and is no bundle: give an empty or a new directory", t.path)
	case err != nil:
		return fmt.Errorf("cannot read the bundle: %w", err)
	case !bytes.Equal(format, []byte(verify.Format)):
		return noPlace("the bundle in %s is of another format (%.40q) than this version writes (%q): give a new directory, or use the version that wrote it",
			t.path, format, verify.Format)
	}
	t.checkpoint, err = os.ReadFile(filepath.Join(t.path, verify.CheckpointPath))
	if errAbsent(err) {
		t.checkpoint = nil
		return nil // the first export was interrupted
	}
	if err != nil {
		return fmt.Errorf("cannot read the bundle's checkpoint: %w", err)
	}
	return nil
}

// close unlocks the directory, and removes it if it was made for nothing.
func (t *target) close() error {
	if t.made {
		_ = os.Remove(t.path) // which fails when there is something in it
	}
	return t.lock.Close()
}
