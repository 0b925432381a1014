// Package dirlock locks directories with flock(2), which is also how Badger locks its own.
package dirlock

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrTaken says that somebody else, in this process or another, has the lock.
var ErrTaken = errors.New("the directory is locked")

// Lock is the lock of a directory that this process has until Close or its end.
type Lock struct{ file *os.File }

// Exclusive takes the lock of a directory for one alone. It does not wait: the error is ErrTaken when anybody has it, or
// that of opening the directory.
func Exclusive(dir string) (*Lock, error) { return take(dir, unix.LOCK_EX) }

// Shared takes the lock of a directory together with others who share it, with the errors of Exclusive.
func Shared(dir string) (*Lock, error) { return take(dir, unix.LOCK_SH) }

func take(dir string, how int) (*Lock, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrTaken
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return &Lock{f}, nil
}

// Close gives the lock up, at once: closing the file alone would not do so while a process that is just being started
// still has a copy of it.
func (l *Lock) Close() error {
	return errors.Join(unix.Flock(int(l.file.Fd()), unix.LOCK_UN), l.file.Close())
}
