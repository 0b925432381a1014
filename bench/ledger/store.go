package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"github.com/countersign-dev/countersign/ledger"
)

// entryBytes is how long an entry is, about what an incident's are.
const entryBytes = 600

// entry is the n-th.
func entry(n uint64) []byte {
	head := fmt.Sprintf(`{"v":1,"kind":"incident.detected","time":"2006-01-02T15:04:05Z","n":%d,"pad":"`, n)
	return []byte(head + strings.Repeat("x", entryBytes-len(head)-2) + `"}`)
}

// store is something that entries can be appended to.
type store interface {
	// append returns when the entry is durable. Safe for concurrent use.
	append(ctx context.Context, n uint64) error
	close() error
}

// stores are what is measured; the first is ours.
var stores = []struct {
	name, what string
	open       func(dir string) (store, error)
}{
	{"ledger", "signed, in a Merkle tree, anchored outside the store", openLedger},
	{"badger", "Badger with synchronous writes, its defaults else: a transaction for each entry", openBadger},
	{"file", "a file: lines are appended, one fsync for all that wait", openFile},
}

type ledgerStore struct{ log *ledger.Log }

func ledgerOptions(dir string) ledger.Options {
	return ledger.Options{Dir: dir, Origin: "example.com/bench", Log: slog.New(slog.DiscardHandler)}
}

func openLedger(dir string) (store, error) {
	l, err := ledger.Open(context.Background(), ledgerOptions(dir))
	return ledgerStore{l}, err
}

func (s ledgerStore) append(ctx context.Context, n uint64) error {
	_, err := s.log.Append(ctx, []ledger.Entry{{Leaf: entry(n)}})
	return err
}

func (s ledgerStore) close() error { return s.log.Close() }

type badgerStore struct{ db *badger.DB }

func badgerOptions(dir string) badger.Options {
	return badger.DefaultOptions(dir).WithSyncWrites(true).WithLogger(nil)
}

func openBadger(dir string) (store, error) {
	db, err := badger.Open(badgerOptions(dir))
	return badgerStore{db}, err
}

func (s badgerStore) append(_ context.Context, n uint64) error {
	return s.db.Update(func(tx *badger.Txn) error { return tx.Set(key(n), entry(n)) })
}

func (s badgerStore) close() error { return s.db.Close() }

func key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// fileStore has one goroutine write and sync what all callers brought meanwhile.
type fileStore struct {
	requests chan line
	ended    chan error
	stopped  atomic.Bool
}

type line struct {
	text []byte
	done chan error
}

// mostWaiting is how many callers share a sync at most.
const mostWaiting = 256

func openFile(dir string) (store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	s := &fileStore{requests: make(chan line, mostWaiting), ended: make(chan error, 1)}
	go func() { s.ended <- errors.Join(s.write(f), f.Close()) }()
	return s, nil
}

// write ends when requests is closed.
func (s *fileStore) write(f *os.File) error {
	var last error
	for first := range s.requests {
		batch, text := []line{first}, append(first.text, '\n')
		for more := true; more && len(batch) < mostWaiting; {
			select {
			case l, open := <-s.requests:
				if more = open; open {
					batch, text = append(batch, l), append(append(text, l.text...), '\n')
				}
			default:
				more = false
			}
		}
		_, err := f.Write(text)
		if err == nil {
			err = f.Sync()
		}
		for _, l := range batch {
			l.done <- err
		}
		last = errors.Join(last, err)
	}
	return last
}

func (s *fileStore) append(_ context.Context, n uint64) error {
	l := line{entry(n), make(chan error, 1)}
	s.requests <- l
	return <-l.done
}

// close must not be called while something is appended.
func (s *fileStore) close() error {
	if s.stopped.Swap(true) {
		return nil
	}
	close(s.requests)
	return <-s.ended
}
