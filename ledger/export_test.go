package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/bundle"
	"github.com/countersign-dev/countersign/ledger/verify"
	formatslog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/merkle/testonly"
	"golang.org/x/mod/sumdb/note"
)

// newLog opens a new log, with a key of its own.
func newLog(t testing.TB) (*Log, Options) {
	t.Helper()
	return newLogOf(t, "")
}

func newLogOf(t testing.TB, signer string) (*Log, Options) {
	t.Helper()
	o := Options{Dir: t.TempDir(), Origin: testOrigin, Signer: signer, Log: slog.New(slog.DiscardHandler)}
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, o
}

// grow appends the test leaves [from, to), which follow entry 0 of the log, with their blobs.
func grow(t testing.TB, l *Log, from, to int) {
	t.Helper()
	var plain []Entry
	flush := func() {
		if len(plain) == 0 {
			return
		}
		if _, err := l.Append(t.Context(), plain); err != nil {
			t.Fatal(err)
		}
		plain = nil
	}
	for i := from; i < to; i++ {
		entry := Entry{Leaf: testLeaf(i)}
		if i%10 == 5 && i == testBlobFirst(i) {
			entry.Blobs = [][]byte{testBlob(i)}
		}
		if i%3 != 1 {
			plain = append(plain, entry)
			continue
		}
		flush()
		if _, appended, err := l.AppendOnce(t.Context(), entry); err != nil || !appended {
			t.Fatalf("leaf %d: %v", i, err)
		}
	}
	flush()
}

func TestExport(t *testing.T) {
	l, _ := newLog(t)
	dir := filepath.Join(t.TempDir(), "bundle")
	for grown, size := 0, uint64(1); size < 700; size += 300 {
		grow(t, l, grown, int(size)-1)
		grown = int(size) - 1
		if err := l.Export(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		src, err := verify.NewDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		report := verify.Log(t.Context(), src, verify.Options{Keys: []string{l.VerifierKey()}})
		if report.Code != verify.Verified || report.Size != size || report.ProvenTo != size {
			t.Fatalf("%d entries: %+v %+v", size, report, report.Problem)
		}
		for path := range tilesOf(size) {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(path))); err != nil {
				t.Errorf("%d entries: %v", size, err)
			}
		}
	}
}

// tilesOf are the paths of the tiles and bundles of a tree, by the text of tlog-tiles.
func tilesOf(size uint64) map[string]bool {
	paths := map[string]bool{}
	for level := 0; size>>(8*level) > 0; level++ {
		hashes := size >> (8 * level)
		for n := range hashes / 256 {
			paths[verify.TilePath(level, n, 256)] = true
		}
		if hashes%256 > 0 {
			paths[verify.TilePath(level, hashes/256, int(hashes%256))] = true
		}
	}
	return paths
}

// TestExportOfFork exports two logs of one key to one directory.
func TestExportOfFork(t *testing.T) {
	private, _, err := note.GenerateKey(nil, testOrigin)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := newLogOf(t, private)
	b, _ := newLogOf(t, private)
	grow(t, a, 0, 10)
	grow(t, b, 5, 25)
	dir := filepath.Join(t.TempDir(), "bundle")
	if err := a.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	err = b.Export(t.Context(), dir)
	var rollback *bundle.RollbackError
	if !errors.As(err, &rollback) {
		t.Errorf("error %v, want a *bundle.RollbackError", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "checkpoint")); err != nil || string(after) != string(before) {
		t.Errorf("the bundle was changed: %v", err)
	}
}

func TestExportEnds(t *testing.T) {
	l, _ := newLog(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Export(ctx, filepath.Join(t.TempDir(), "bundle")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}

func TestSource(t *testing.T) {
	s := newStored(t, 300)
	src := source{s}
	data, err := src.Get(t.Context(), "checkpoint", 1000)
	if err != nil {
		t.Fatal(err)
	}
	data[0] ^= 1 // the caller's to change
	if string(data) == string(s.published.Load().Note) {
		t.Error("the checkpoint was given away itself")
	}
	if data, err := src.Get(t.Context(), "tile/0/000", 8192); err != nil || len(data) != 8192 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if _, err := src.Get(t.Context(), "tile/0/000", 8191); !errors.Is(err, verify.ErrTooLong) {
		t.Errorf("beyond the limit: %v", err)
	}
	for _, path := range []string{"tile/0/001", "checkpoint.witnessed", "countersign-ledger", "../x"} {
		if _, err := src.Get(t.Context(), path, 8192); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", path, err)
		}
	}
	s.set(t, keyLeaf(7), nil)
	if _, err := src.Get(t.Context(), "tile/0/000", 8192); errors.Is(err, fs.ErrNotExist) || err == nil {
		t.Errorf("a lost row: %v, want an error other than fs.ErrNotExist", err)
	}
}

// TestReadsOfWriter checks what the writer has written against the second Merkle implementation and other people's
// parsers, and the store against the audit.
func TestReadsOfWriter(t *testing.T) {
	l, o := newLog(t)
	const size = 1400
	grow(t, l, 0, size-1)

	tree := testonly.New(rfc6962.DefaultHasher)
	for record, err := range l.Entries(0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if record.Index > 0 && string(record.Leaf) != string(testLeaf(int(record.Index)-1)) {
			t.Fatalf("entry %d: %s", record.Index, record.Leaf)
		}
		tree.AppendData(record.Leaf)
	}
	verifier, err := note.NewVerifier(l.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, rest, _, err := formatslog.ParseCheckpoint(l.Checkpoint().Note, testOrigin, verifier)
	if err != nil || len(rest) > 0 || checkpoint.Size != size || string(checkpoint.Hash) != string(tree.Hash()) {
		t.Fatalf("checkpoint %+v, %q, %v; want size %d, root %x", checkpoint, rest, err, size, tree.Hash())
	}
	s := &stored{Log: l, tree: tree}
	for _, i := range []uint64{0, 1, 255, 256, 511, 512, 700, 1279, 1280, 1399} {
		s.checkInclusion(t, i, size)
		s.checkInclusion(t, i, i+1)
		s.checkConsistency(t, i, size)
	}
	report := verify.Log(t.Context(), source{l}, verify.Options{Keys: []string{l.VerifierKey()}})
	if report.Code != verify.Verified || report.ProvenTo != size {
		t.Errorf("%+v %+v", report, report.Problem)
	}
	for i := 5; i < size-1; i += 30 {
		if data, err := l.Blob(sha256.Sum256(testBlob(i))); err != nil || string(data) != string(testBlob(i)) {
			t.Errorf("blob of leaf %d: %q, %v", i, data, err)
		}
	}

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c := openCopy(t, filepath.Join(o.Dir, "store"))
	if err := c.Audit(t.Context()); err != nil {
		t.Error(err)
	}
	report = verify.Log(t.Context(), source{c}, verify.Options{Keys: []string{l.VerifierKey()}})
	if report.Code != verify.Verified || report.ProvenTo != size {
		t.Errorf("the copy: %+v %+v", report, report.Problem)
	}
}

// TestProofsOfWriter has the verifier check tlog-proofs of a log that the writer has written.
func TestProofsOfWriter(t *testing.T) {
	l, _ := newLog(t)
	grow(t, l, 0, 20)
	for i := range uint64(21) {
		text, err := l.Proof(i)
		if err != nil {
			t.Fatal(err)
		}
		report := verify.Proof(t.Context(), text, nil, verify.Options{Keys: []string{l.VerifierKey()}})
		if report.Code != verify.Verified {
			t.Errorf("entry %d: %+v %+v", i, report, report.Problem)
		}
		changed := []byte(strings.Replace(string(text), fmt.Sprintf("index %d\n", i), fmt.Sprintf("index %d\n", i^1), 1))
		if report := verify.Proof(t.Context(), changed, nil, verify.Options{Keys: []string{l.VerifierKey()}}); report.Code == verify.Verified {
			t.Errorf("the proof of entry %d also holds for another", i)
		}
	}
}
