package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger/dirlock"
)

const (
	manifestName = "MANIFEST" // every Badger store has one
	lockName     = "LOCK"     // where Badger writes who has the store open
)

// CopyStore copies a store, which is the directory DIR/store of a ledger, into the directory to, which must be empty or
// absent. The store is only read. No process can open it for writing meanwhile; when one has it open, or opens it at this
// moment, the error is ErrLocked.
//
// Holes in files stay holes: a store reserves more space than it uses. A store has regular files only, so that a link or
// a directory in it is an error. progress, which may be nil, is told how many bytes of how many have been dealt with.
// After an error, which may be that of ctx, to holds a part of the copy.
func CopyStore(ctx context.Context, dir, to string, progress func(done, total int64)) error {
	lock, err := lockDir(dir, dirlock.Shared)
	if err != nil {
		return err
	}
	defer lock.Close()
	files, err := storeFiles(dir)
	if err != nil {
		return err
	}
	if err := emptyDir(to); err != nil {
		return err
	}
	c := copying{ctx: ctx, progress: progress}
	for _, file := range files {
		c.total += file.Size()
	}
	for _, file := range files {
		if err := c.file(filepath.Join(dir, file.Name()), filepath.Join(to, file.Name())); err != nil {
			return fmt.Errorf("copying the store: %w", err)
		}
	}
	return nil
}

// lockDir takes the lock of a directory, Badger's own where it is a store, with one of dirlock's functions.
func lockDir(dir string, take func(dir string) (*dirlock.Lock, error)) (*dirlock.Lock, error) {
	lock, err := take(dir)
	switch {
	case errors.Is(err, dirlock.ErrTaken):
		return nil, fmt.Errorf("locking %s: %w", dir, ErrLocked)
	case err != nil:
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return lock, nil
}

// storeFiles lists the files of a store.
func storeFiles(dir string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing the store: %w", err)
	}
	var files []os.FileInfo
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return nil, fmt.Errorf("listing the store: %w", err)
		}
		if !info.Mode().IsRegular() {
			if _, err := os.Stat(filepath.Join(dir, "store", manifestName)); err == nil {
				return nil, fmt.Errorf("%s is not a store but holds one: give %s", dir, filepath.Join(dir, "store"))
			}
			return nil, &IntegrityError{Index: -1, Problem: fmt.Sprintf("%s is not a regular file, and a store has no others", filepath.Join(dir, entry.Name()))}
		}
		if entry.Name() != lockName {
			files = append(files, info)
		}
	}
	return files, nil
}

// emptyDir makes a directory that only its owner can read, or makes sure that it is empty.
func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory for the copy: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking into the directory for the copy: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: a copy of a store needs a directory of its own", dir)
	}
	return nil
}

// copying is a CopyStore under way.
type copying struct {
	ctx         context.Context
	progress    func(done, total int64)
	done, total int64
}

// advance reports n more bytes dealt with.
func (c *copying) advance(n int64) {
	c.done += n
	if c.progress != nil {
		c.progress(c.done, c.total)
	}
}

// file copies one file, which must not have become anything else since it was listed.
func (c *copying) file(from, to string) error {
	src, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", from)
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = c.extents(dst, src, info.Size())
	if closeErr := dst.Close(); err == nil {
		err = closeErr
	}
	return err
}

// extents copies what of a file is not a hole.
func (c *copying) extents(dst, src *os.File, size int64) error {
	if err := dst.Truncate(size); err != nil {
		return err
	}
	for at := int64(0); at < size; {
		data, hole, err := nextExtent(src, at, size)
		if err != nil {
			return err
		}
		c.advance(data - at)
		if err := c.extent(dst, src, data, hole); err != nil {
			return err
		}
		at = hole
	}
	return nil
}

// nextExtent returns the bounds of the first data at or after a position; both are size when there is none. A file system
// that does not know of holes has data everywhere.
func nextExtent(f *os.File, at, size int64) (data, hole int64, err error) {
	data, err = f.Seek(at, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP):
		return at, size, nil
	case err != nil:
		return 0, 0, err
	}
	hole, err = f.Seek(data, unix.SEEK_HOLE)
	return min(data, size), min(hole, size), err
}

// extent copies the bytes [from, to), some at a time so that ctx can end it.
func (c *copying) extent(dst, src *os.File, from, to int64) error {
	const piece = 4 << 20
	if _, err := src.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if _, err := dst.Seek(from, io.SeekStart); err != nil {
		return err
	}
	for from < to {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(dst, src, min(piece, to-from))
		c.advance(n)
		if err != nil {
			return err
		}
		from += n
	}
	return nil
}
