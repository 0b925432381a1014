package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/ristretto/v2/z"
)

// storeTables lists the tables of a store. What is in the directory besides is
// left from a crash: Badger removes it.
func storeTables(store string, o badger.Options) (map[uint64]badger.TableManifest, error) {
	f, err := os.Open(filepath.Join(store, manifestName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var m badger.Manifest
	err = guarded(func() (err error) {
		m, _, err = badger.ReplayManifestFile(f, 0, o)
		return err
	})
	if err != nil {
		return nil, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store's file %s: %v", manifestName, err)}
	}
	return m.Tables, nil
}

// checkTables reads the tables through and compares their checksums. Badger
// would do that itself, but where a table is damaged so that it makes no sense
// it panics in a goroutine of its own, which ends the process.
func checkTables(store string, tables map[uint64]badger.TableManifest) error {
	ids := make(chan uint64)
	problems := make([]error, runtime.GOMAXPROCS(0))
	var workers sync.WaitGroup
	for w := range problems {
		workers.Go(func() {
			for id := range ids {
				problems[w] = errors.Join(problems[w], checkTable(table.NewFilename(id, store)))
			}
		})
	}
	for id := range tables {
		ids <- id
	}
	close(ids)
	workers.Wait()
	if err := errors.Join(problems...); err != nil {
		return &IntegrityError{Index: -1, Problem: err.Error()}
	}
	return nil
}

func checkTable(path string) error {
	err := guarded(func() error {
		file, err := z.OpenMmapFile(path, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		t, err := table.OpenTable(file, table.Options{ReadOnly: true, Compression: options.None, ChkMode: options.OnTableRead})
		if err != nil {
			return err
		}
		return t.Close(-1)
	})
	if err != nil {
		return fmt.Errorf("the store's table %s: %w", filepath.Base(path), err)
	}
	return nil
}
