package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger/dirlock"
)

// Copy is a copy of a store, opened to be verified and not to be trusted. It serves what the rows say: the head as the
// checkpoint, tiles and blobs as they are stored. Nothing is checked before it is served, so that whoever verifies it sees
// what is wrong; what only a store has is checked by Audit.
//
// Safe for concurrent use, except that Close must come last.
type Copy struct {
	rows rows
	size uint64 // as the head says; 0 when that cannot be read
}

// OpenCopy opens a copy of a store, as CopyStore makes one, of a ledger that runs no more or was killed. Opening changes
// the files, hence the copy.
//
// A damaged store is an *IntegrityError. But Badger can also end the process over one, or take all memory there is, so
// that OpenCopy belongs into a child process. A directory that is in use is ErrLocked.
func OpenCopy(dir string) (*Copy, error) {
	if err := openable(dir); err != nil {
		return nil, err
	}
	c := &Copy{}
	err := guarded(func() (err error) {
		c.rows.db, err = badger.Open(badgerOptions(dir, slog.New(slog.DiscardHandler)))
		return err
	})
	var damaged *IntegrityError
	if err != nil && !errors.As(err, &damaged) {
		err = &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store cannot be opened: %v", err)}
	}
	if err != nil {
		return nil, err
	}
	if head, err := c.rows.head(); err == nil {
		if checkpoint, err := parseCheckpoint(head); err == nil {
			c.size = checkpoint.Size
		}
	}
	return c, nil
}

// openable finds what is wrong with a directory other than that the store in it is damaged.
func openable(dir string) error {
	lock, err := lockDir(dir, dirlock.Exclusive)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("a copy of a store must be writable to be opened: %s: %w", dir, err)
	}
	if _, err := storeFiles(dir); err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(dir, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		return &IntegrityError{Index: -1, Problem: fmt.Sprintf("%s has no file %s: it is no store, or has lost a part", dir, manifestName)}
	}
	return err
}

// Close closes the copy. The directory is left to the caller.
func (c *Copy) Close() error {
	return guarded(c.rows.db.Close)
}

// Handler serves the copy as Log.Handler serves a log, but unchecked. What has no row is 404.
func (c *Copy) Handler() http.Handler { return serve(c) }

// resource implements store.
func (c *Copy) resource(path string) (resource, error) {
	switch {
	case path == pathCheckpoint:
		head, err := c.rows.head()
		return resource{data: head, text: true, changes: true}, err
	case strings.HasPrefix(path, prefixBlobPath):
		sum, err := parseBlobPath(path)
		if err != nil {
			return resource{}, err
		}
		val, err := c.rows.get(keyBlob(sum))
		return resource{data: val[min(8, len(val)):]}, err
	}
	t, err := parseTileIn(path, c.size)
	if err != nil {
		return resource{}, err
	}
	data, err := c.rows.tile(t)
	return resource{data: data, shrinks: t.L == entriesLevel}, err
}
