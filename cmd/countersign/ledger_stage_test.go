package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/countersign-dev/countersign/ledger"
)

// scriptOrigin is the origin of the ledgers that scripts make.
const scriptOrigin = "log.example/script"

// grow appends entries to the ledger in a data directory, and makes it first
// when there is none.
func (s *stage) grow(ts *testscript.TestScript, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	l, err := ledger.Open(context.Background(), ledger.Options{
		Dir: ts.MkAbs(args[0]), Origin: scriptOrigin, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) },
	})
	ts.Check(err)
	var entries []ledger.Entry
	for range n {
		i := l.Checkpoint().Size + uint64(len(entries))
		entries = append(entries, ledger.Entry{Leaf: fmt.Appendf(nil,
			`{"kind":"script.entry","time":"2026-01-02T04:%02d:%02dZ","n":%d,"reason":"because it is a \"test\"","list":[1,2]}`, i/60%60, i%60, i)})
	}
	_, err = l.Append(context.Background(), entries)
	ts.Check(err)
	ts.Check(l.Close())
}

// flip inverts a bit of a file, at an offset from the start or, when negative,
// from the end.
func (s *stage) flip(ts *testscript.TestScript, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 1
	ts.Check(os.WriteFile(path, data, 0o600))
}
