package ledger

import (
	"errors"
	"fmt"
)

var (
	// ErrLocked says that another process, or another Log of this one, has the
	// store open.
	ErrLocked = errors.New("the ledger is in use by another process")
	// ErrNoSpace says that a file system has less free than the ledger needs.
	// Nothing was written; the log goes on when there is space again.
	ErrNoSpace = errors.New("too little free disk space for the ledger")
	// ErrFailed says that a write failed in a way after which only a restart can
	// tell what is on disk. The log takes no more entries; it can still be read.
	ErrFailed = errors.New("the ledger has stopped after a failed write; restart to have it checked")
	// ErrClosed says that the log has been closed.
	ErrClosed = errors.New("the ledger is closed")
	// ErrNotFound says that the log holds no such entry, blob or tree size.
	ErrNotFound = errors.New("not in the ledger")
	// ErrFormat says that a store names a format that this version does not know.
	ErrFormat = errors.New("the ledger has a format that this version does not know")
	// ErrUncertain says that the context ended while the entries were being
	// written: they may be in the log or not. It wraps the context's error.
	ErrUncertain = errors.New("gave up waiting while the entry was being written: it may be in the ledger")
)

// EntryError says what is wrong with an entry that was to be appended. Nothing
// of the call that it was part of has been written.
type EntryError struct {
	Position int    // of the entry among those of the call, from 0; -1 for the call as a whole
	Problem  string // a sentence without a full stop
}

func (e *EntryError) Error() string {
	if e.Position < 0 {
		return "cannot append: " + e.Problem
	}
	return fmt.Sprintf("cannot append entry %d of the call: %s", e.Position, e.Problem)
}

// IntegrityError says that the store or the anchor does not hold what was once
// acknowledged. Whoever returns it has changed nothing.
type IntegrityError struct {
	Index    int64 // the first entry that is wrong, or of those one of which is; -1 when that is not known
	Rollback bool  // the store is sound but older than, or not a continuation of, the anchor
	Problem  string
}

func (e *IntegrityError) Error() string {
	what := "the ledger is damaged"
	if e.Rollback {
		what = "the ledger has been rolled back"
	}
	if e.Index >= 0 {
		return fmt.Sprintf("%s at entry %d: %s", what, e.Index, e.Problem)
	}
	return fmt.Sprintf("%s: %s", what, e.Problem)
}
