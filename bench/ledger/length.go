package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"github.com/countersign-dev/countersign/bench/stats"
	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// Length is what depends on how many entries there are. Times are medians.
type Length struct {
	Entries int `json:"entries"`
	// OpenMS is the time until the ledger takes entries, BadgerMS until Badger
	// does, ReadMS the time to read a file of the same lines.
	OpenMS   float64 `json:"open_ms"`
	BadgerMS float64 `json:"badger_open_ms"`
	ReadMS   float64 `json:"file_read_ms"`
	// DiskBytes is what the ledger takes, for each entry; BundleBytes what an
	// export does.
	DiskBytes   float64 `json:"disk_bytes_per_entry"`
	BundleBytes float64 `json:"bundle_bytes_per_entry"`
	// VerifyPerSecond is how many entries of an export are verified a second.
	VerifyPerSecond float64 `json:"verified_entries_per_second"`
	// ProofHashes are in an inclusion proof of 32 bytes each, ProofBytes is a whole
	// tlog-proof with the entry and the signed checkpoint in it.
	ProofHashes int `json:"proof_hashes"`
	ProofBytes  int `json:"proof_bytes"`
}

// repeats is how often a time is taken.
const repeats = 5

func lengthsOf(ctx context.Context, dir string, lengths []int) ([]Length, error) {
	var all []Length
	for _, n := range lengths {
		at := filepath.Join(dir, fmt.Sprint(n))
		l, err := lengthOf(ctx, at, n)
		if err != nil {
			return nil, fmt.Errorf("a log of %d entries: %w", n, err)
		}
		all = append(all, l)
		if err := os.RemoveAll(at); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func lengthOf(ctx context.Context, dir string, entries int) (Length, error) {
	out := Length{Entries: entries}
	kept, bundle := filepath.Join(dir, "ledger"), filepath.Join(dir, "bundle")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return out, err
	}
	for _, step := range []func() error{
		func() error { return out.fill(ctx, kept, bundle) },
		func() error { return out.verify(ctx, bundle) },
		func() error { return out.start(ctx, kept) },
		func() error { return out.startBadger(filepath.Join(dir, "badger")) },
		func() error { return out.readFile(filepath.Join(dir, "file")) },
	} {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		if err := step(); err != nil {
			return out, err
		}
	}
	return out, nil
}

// batch is how many entries are appended at once where the time does not count.
const batch = 500

// fill makes the ledger and its export. Its first entry is its own.
func (l *Length) fill(ctx context.Context, dir, bundle string) (err error) {
	log, err := ledger.Open(ctx, ledgerOptions(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	for n := 1; n < l.Entries; {
		var some []ledger.Entry
		for ; len(some) < batch && n < l.Entries; n++ {
			some = append(some, ledger.Entry{Leaf: entry(uint64(n))})
		}
		if _, err := log.Append(ctx, some); err != nil {
			return err
		}
	}
	middle := uint64(l.Entries / 2)
	path, err := log.ProveInclusion(middle, uint64(l.Entries))
	if err != nil {
		return err
	}
	proof, err := log.Proof(middle)
	if err != nil {
		return err
	}
	if report := verify.Proof(ctx, proof, nil, verify.Options{Keys: []string{log.VerifierKey()}}); report.Code != verify.Verified {
		return fmt.Errorf("the proof of entry %d is %s: %v", middle, report.Verdict, report.Problem)
	}
	l.ProofHashes, l.ProofBytes = len(path), len(proof)
	if err := log.Export(ctx, bundle); err != nil {
		return err
	}
	l.BundleBytes, err = bytesIn(bundle)
	l.BundleBytes /= float64(l.Entries)
	return err
}

func (l *Length) verify(ctx context.Context, bundle string) error {
	src, err := verify.NewDir(bundle)
	if err != nil {
		return err
	}
	defer src.Close()
	ms, err := timed(func() error {
		report := verify.Log(ctx, src, verify.Options{})
		if report.Code != verify.Verified || report.Size != uint64(l.Entries) {
			return fmt.Errorf("the export of %d entries is %s: %v", report.Size, report.Verdict, report.Problem)
		}
		return nil
	})
	l.VerifyPerSecond = float64(l.Entries) / ms * 1e3
	return err
}

func (l *Length) start(ctx context.Context, dir string) (err error) {
	if l.DiskBytes, err = bytesIn(dir); err != nil {
		return err
	}
	l.DiskBytes /= float64(l.Entries)
	var log *ledger.Log
	l.OpenMS, err = timedThen(func() (err error) {
		log, err = ledger.Open(ctx, ledgerOptions(dir))
		return err
	}, func() error {
		if size := log.Checkpoint().Size; size != uint64(l.Entries) {
			return errors.Join(fmt.Errorf("the ledger has %d entries", size), log.Close())
		}
		return log.Close()
	})
	return err
}

func (l *Length) startBadger(dir string) error {
	db, err := badger.Open(badgerOptions(dir).WithSyncWrites(false))
	if err != nil {
		return err
	}
	some := db.NewWriteBatch()
	defer some.Cancel()
	for n := range uint64(l.Entries) {
		if err := some.Set(key(n), entry(n)); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := errors.Join(some.Flush(), db.Close()); err != nil {
		return err
	}
	l.BadgerMS, err = timedThen(func() (err error) {
		db, err = badger.Open(badgerOptions(dir))
		return err
	}, func() error { return db.Close() })
	return err
}

func (l *Length) readFile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for n := range uint64(l.Entries) {
		_, _ = w.Write(append(entry(n), '\n'))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	l.ReadMS, err = timed(func() error {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		n := 0
		for lines := bufio.NewScanner(f); lines.Scan(); n++ {
		}
		if n != l.Entries {
			return fmt.Errorf("the file has %d lines", n)
		}
		return nil
	})
	return err
}

// timed is the median of some repetitions, in milliseconds.
func timed(f func() error) (float64, error) { return timedThen(f, func() error { return nil }) }

// timedThen does something after each that does not count.
func timedThen(f, then func() error) (float64, error) {
	var ms []float64
	for range repeats {
		begin := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		ms = append(ms, time.Since(begin).Seconds()*1e3)
		if err := then(); err != nil {
			return 0, err
		}
	}
	return stats.Median(ms), nil
}

// bytesIn is what the blocks of all files in a directory take on disk.
func bytesIn(dir string) (float64, error) {
	total := 0.0
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += onDisk(info)
		return nil
	})
	return total, err
}
