package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
)

// shadowName is the directory, beside the store, through which it is checked.
const shadowName = "store.check"

// shadow is a view of a store that cannot change it.
//
// Badger cannot open a store that was not closed without writing to it, and
// what it writes destroys evidence: where a write-ahead log does not make sense
// it cuts the log off, and with it everything behind the first flipped bit. So
// a directory is made that has links to the store's tables and copies of its
// logs, cut off where Badger would; Badger opens that for reading only.
type shadow struct {
	rows
	dir     string
	waiting uint64 // bytes in the store's write-ahead logs
}

// openShadow opens a store to be checked. The caller holds its lock.
func openShadow(store, dir string, log *slog.Logger) (*shadow, error) {
	if err := checkHeaders(store); err != nil {
		return nil, err
	}
	o := badgerOptions(dir, log)
	o.ReadOnly = true
	o.BypassLockGuard = true
	o.ChecksumVerificationMode = options.NoVerification // that is done by checkTables
	tables, err := storeTables(store, o)
	if err != nil {
		return nil, err
	}
	if err := checkTables(store, tables); err != nil {
		return nil, err
	}
	s := &shadow{dir: dir}
	if err := s.build(store, tables); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing the check of the store: %w", err), s.remove())
	}
	err = guarded(func() (err error) {
		s.rows.db, err = badger.Open(o)
		return err
	})
	if err != nil {
		if _, ok := errors.AsType[*IntegrityError](err); !ok {
			err = &IntegrityError{Index: -1, Problem: fmt.Sprintf("its store cannot be read: %v", err)}
		}
		return nil, errors.Join(err, s.remove())
	}
	return s, nil
}

// close ends the check.
func (s *shadow) close() error {
	return errors.Join(guarded(s.rows.db.Close), s.remove())
}

// build fills the directory.
func (s *shadow) build(store string, tables map[uint64]badger.TableManifest) error {
	if err := s.remove(); err != nil { // one that a crash has left
		return err
	}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return err
	}
	store, err := filepath.Abs(store)
	if err != nil {
		return err
	}
	files, err := storeFiles(store)
	if err != nil {
		return err
	}
	for _, file := range files {
		from, to := filepath.Join(store, file.Name()), filepath.Join(s.dir, file.Name())
		switch name := file.Name(); {
		case strings.HasSuffix(name, walSuffix):
			err = s.copyWAL(from, to)
		case name == manifestName, name == "KEYREGISTRY":
			err = os.Symlink(from, to)
		}
		if err != nil {
			return err
		}
	}
	for id := range tables {
		if err := os.Symlink(table.NewFilename(id, store), table.NewFilename(id, s.dir)); err != nil {
			return err
		}
	}
	return nil
}

// copyWAL copies the whole transactions of a write-ahead log, if there are any.
func (s *shadow) copyWAL(from, to string) error {
	end, err := walEnd(from)
	if err != nil || end <= walHeader {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.waiting += uint64(end)
	_, err = io.CopyN(dst, src, end)
	if closeErr := dst.Close(); err == nil {
		err = closeErr
	}
	return err
}

// remove removes the directory. The copied logs are emptied first: Badger does
// not give up its mapping of a log that it opened for reading only, and so
// neither space nor memory would become free.
func (s *shadow) remove() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Type().IsRegular() {
			if err := os.Truncate(filepath.Join(s.dir, entry.Name()), 0); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(s.dir)
}

// removeEmptyLogs removes logs of a sound store in which there is nothing. A
// kill leaves them when it comes right after Badger has made one, or right
// before it removes one, and then Badger cannot open the store.
func removeEmptyLogs(store string) error {
	files, err := storeFiles(store)
	if err != nil {
		return err
	}
	for _, file := range files {
		if ext := filepath.Ext(file.Name()); file.Size() == 0 && (ext == walSuffix || ext == valueSuffix) {
			if err := os.Remove(filepath.Join(store, file.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
