package ledger

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// steps are what a commit does to the world, in this order. Tests let one fail.
type steps struct {
	sign       func(origin string, size uint64, root tlog.Hash, signer note.Signer) (*Checkpoint, error)
	store      func(txn *badger.Txn) error
	syncStore  func(dir string) error
	write      func(path string, data []byte) error
	rename     func(path string) error
	syncAnchor func(dir string) error
}

var realSteps = steps{
	sign:       signCheckpoint,
	store:      func(txn *badger.Txn) error { return guarded(txn.Commit) },
	syncStore:  syncDir,
	write:      writeTemp,
	rename:     renameTemp,
	syncAnchor: syncDir,
}

// commit writes a plan, and publishes it.
//
// It costs four waits for the disk:
//  1. Badger's msync of its value log, in which nothing was written;
//  2. Badger's msync of its write-ahead log: the transaction is durable;
//  3. fsync of the anchor's new file;
//  4. fsync of the anchor's directory: the rename is durable.
//
// A fifth, of the store's directory, comes when Badger has begun a new
// write-ahead log, once in about four megabytes: its name must be durable too.
//
// A crash, or an error, before 2 loses the plan, which nobody was told of.
// Between 2 and 4 the store is ahead of the anchor, by a head with the log's
// signature: Open moves the anchor forward. Which of them it was a running
// process cannot know, so every error from the transaction on ends the log.
func (l *Log) commit(p *plan, signer *key) error {
	s := &l.sequencer
	head, err := s.steps.sign(l.origin, p.edge.size, p.edge.root(), signer)
	if err != nil {
		return err
	}
	txn := l.rows.db.NewTransaction(true)
	defer txn.Discard()
	if err := p.write(txn, head); err != nil {
		return fmt.Errorf("putting entries into a transaction: %w", err)
	}
	if err := s.steps.store(txn); err != nil {
		return l.fail("writing entries to the store", err)
	}
	if s.wal.begun() {
		s.space = appendSpace + storeSpace(l.rows.db.Tables(), waitingSpace)
		if err := s.steps.syncStore(l.options.storeDir()); err != nil {
			return l.fail("making the store's new write-ahead log durable", err)
		}
	}
	if err := s.writeAnchor(l.options.AnchorDir, head); err != nil {
		return l.fail("writing the checkpoint to the anchor", err)
	}
	s.edge = p.edge
	l.published.Store(head)
	l.cosigning.tell(head)
	return nil
}

// writeAnchor replaces the anchor's checkpoint.
func (s *sequencer) writeAnchor(dir string, c *Checkpoint) error {
	path := filepath.Join(dir, checkpointName)
	if err := s.steps.write(path, c.Note); err != nil {
		return err
	}
	if err := s.steps.rename(path); err != nil {
		return err
	}
	return s.steps.syncAnchor(dir)
}

// fail stops the log for good.
func (l *Log) fail(what string, cause error) error {
	err := fmt.Errorf("%w: %s: %w", ErrFailed, what, cause)
	l.failure.Store(&err)
	l.options.Log.Error("the ledger has stopped", "error", err)
	return err
}

// walFiles knows when Badger begins a write-ahead log: it makes the file, and
// leaves it to its user to make the name durable.
type walFiles struct {
	dir  string
	next int // the number that the next one will have
}

// Names of Badger's files end in these.
const (
	walSuffix   = ".mem"
	tableSuffix = ".sst"
	valueSuffix = ".vlog" // of the value log, which stays empty
)

// findWAL finds the newest write-ahead log of an open store.
func findWAL(dir string) (walFiles, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return walFiles{}, fmt.Errorf("listing the store: %w", err)
	}
	w := walFiles{dir: dir}
	for _, entry := range entries {
		name, ok := strings.CutSuffix(entry.Name(), walSuffix)
		if number, err := strconv.Atoi(name); ok && err == nil {
			w.next = max(w.next, number+1)
		}
	}
	if w.next == 0 {
		return walFiles{}, fmt.Errorf("the store %s has no write-ahead log", dir)
	}
	return w, nil
}

// begun says whether there is a new write-ahead log since the last time.
func (w *walFiles) begun() bool {
	was := w.next
	for {
		if _, err := os.Lstat(filepath.Join(w.dir, fmt.Sprintf("%05d%s", w.next, walSuffix))); err != nil {
			return w.next != was
		}
		w.next++
	}
}
