//go:build slow

package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

// tamperTime is the time of everything in a log to be tampered with, so that
// its bytes are the same in every run.
var tamperTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tamperKey is a log's signing key.
type tamperKey struct {
	note.Signer
	secret, vkey string
}

// newTamperKey makes the key that follows from a name and a seed.
func newTamperKey(t testing.TB, name string, seed byte) tamperKey {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Split(vkey, "+")[1]
	secret := "PRIVATE+KEY+" + name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...))
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	return tamperKey{signer, secret, vkey}
}

// tamperLog is a log as the ledger writes it, with what it looked like at some
// sizes on the way.
type tamperLog struct {
	origin string
	salt   string // what tells its entries from those of other logs
	keys   []tamperKey
	dir    string

	leaves      [][]byte
	bundles     map[int]bundleFiles // exported
	checkpoints map[int][]byte
	closed      map[int]*dirImage // the data directory after an orderly end
	crashed     map[int]*dirImage // the same, as a loss of power leaves it
	proofs      map[int][]byte    // at the last size, by index

	log *ledger.Log
}

// tamperShape says how a log is to be.
type tamperShape struct {
	origin, salt string
	keys         []tamperKey // the second one, if any, replaces the first
	rotateAt     int
	sizes        []int // where it is looked at
	entry        func(salt string, i int) ledger.Entry
	cosigner     *witnesstest.Witness // cosigns the checkpoint of cosignAt, which is one of sizes
	cosignAt     int
}

// makeTamperLog writes a log.
func makeTamperLog(t *testing.T, shape tamperShape) *tamperLog {
	t.Helper()
	l := &tamperLog{
		origin: shape.origin, salt: shape.salt, keys: shape.keys[:1], dir: filepath.Join(t.TempDir(), "data"),
		bundles: map[int]bundleFiles{}, checkpoints: map[int][]byte{},
		closed: map[int]*dirImage{}, crashed: map[int]*dirImage{}, proofs: map[int][]byte{},
	}
	l.open(t)
	for _, size := range shape.sizes {
		if len(shape.keys) > 1 && len(l.keys) == 1 && size > shape.rotateAt {
			l.grow(t, shape.rotateAt, shape.entry)
			l.rotate(t, shape.keys[1])
		}
		l.grow(t, size, shape.entry)
		l.look(t, size)
		if size == shape.cosignAt {
			l.cosign(t, shape.cosigner, size)
		}
		if size != shape.sizes[len(shape.sizes)-1] {
			l.open(t)
		}
	}
	return l
}

func (l *tamperLog) options() ledger.Options {
	return ledger.Options{
		Dir: l.dir, Origin: l.origin, Signer: l.keys[len(l.keys)-1].secret,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return tamperTime },
	}
}

// open opens the log, and puts its key where the ledger keeps its own.
func (l *tamperLog) open(t *testing.T) {
	t.Helper()
	var err error
	if l.log, err = ledger.Open(context.Background(), l.options()); err != nil {
		t.Fatal(err)
	}
	l.leaves = l.leaves[:0]
	for record, err := range l.log.Entries(0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		l.leaves = append(l.leaves, bytes.Clone(record.Leaf))
	}
	key := l.keys[len(l.keys)-1].secret + "\n"
	if err := os.WriteFile(filepath.Join(l.dir, "ledger.key"), []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
}

// grow appends entries until there are size.
func (l *tamperLog) grow(t *testing.T, size int, entry func(salt string, i int) ledger.Entry) {
	t.Helper()
	ctx := context.Background()
	var batch []ledger.Entry
	flush := func() {
		if _, err := l.log.Append(ctx, batch); err != nil {
			t.Fatal(err)
		}
		batch = nil
	}
	for i := len(l.leaves); i < size; i++ {
		e := entry(l.salt, i)
		l.leaves = append(l.leaves, e.Leaf)
		if !bytes.Contains(e.Leaf, []byte(`"once"`)) {
			if batch = append(batch, e); len(batch) == 1000 {
				flush()
			}
			continue
		}
		flush()
		if _, appended, err := l.log.AppendOnce(ctx, e); err != nil || !appended {
			t.Fatalf("entry %d: appended %t, %v", i, appended, err)
		}
	}
	flush()
}

func (l *tamperLog) rotate(t *testing.T, next tamperKey) {
	t.Helper()
	if err := l.log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := ledger.RotateKey(context.Background(), l.options(), next.secret); err != nil {
		t.Fatal(err)
	}
	l.keys = append(l.keys[:len(l.keys):len(l.keys)], next)
	l.open(t)
}

// look keeps what the log of a size looks like, and closes it.
func (l *tamperLog) look(t *testing.T, size int) {
	t.Helper()
	export := filepath.Join(t.TempDir(), "export")
	if err := l.log.Export(context.Background(), export); err != nil {
		t.Fatal(err)
	}
	l.bundles[size] = readBundle(t, export)
	l.checkpoints[size] = bytes.Clone(l.log.Checkpoint().Note)
	clear(l.proofs)
	for _, index := range []int{0, 100, 255, 256, size - 1} {
		if index < size {
			proof, err := l.log.Proof(uint64(index))
			if err != nil {
				t.Fatal(err)
			}
			l.proofs[index] = proof
		}
	}
	l.crashed[size] = takeImage(t, l.dir)
	if err := l.log.Close(); err != nil {
		t.Fatal(err)
	}
	l.closed[size] = takeImage(t, l.dir)
}

// cosign has a witness cosign the checkpoint of a size, where the ledger keeps
// that.
func (l *tamperLog) cosign(t *testing.T, w *witnesstest.Witness, size int) {
	t.Helper()
	signed := addSignatures(t, l.checkpoints[size], l.keys[len(l.keys)-1].vkey, w.Signer())
	path := filepath.Join(l.dir, "anchor", "checkpoint.witnessed")
	if err := os.WriteFile(path, signed, 0o644); err != nil {
		t.Fatal(err)
	}
}

// addSignatures adds signatures to a checkpoint.
func addSignatures(t testing.TB, checkpoint []byte, vkey string, signers ...note.Signer) []byte {
	t.Helper()
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := note.Open(checkpoint, note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(opened, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// tamperEntry is entry i of a log with everything in it.
func tamperEntry(salt string, i int) ledger.Entry {
	const members = `"time":"2026-01-02T03:04:05Z","text":"%s entry %d"`
	switch {
	case i == 100:
		return evidenceEntry(i, tamperBlob(salt, 70), tamperBlob(salt, 20_000))
	case i == 300:
		return evidenceEntry(i, tamperBlob(salt, 40_960))
	case i == 420:
		return evidenceEntry(i, tamperBlob(salt, 70))
	case i == 500:
		return evidenceEntry(i, nil)
	case i%5 == 2:
		return ledger.Entry{Leaf: fmt.Appendf(nil, `{"kind":"test.once","once":"%s-%d",`+members+`}`, salt, i, salt, i)}
	}
	return ledger.Entry{Leaf: fmt.Appendf(nil, `{"kind":"test.entry",`+members+`}`, salt, i)}
}

// smallEntry is entry i of a log that is long.
func smallEntry(salt string, i int) ledger.Entry {
	if i == 40_000 {
		return evidenceEntry(i, tamperBlob(salt, ledger.MaxBlob))
	}
	return ledger.Entry{Leaf: fmt.Appendf(nil, `{"kind":"%s","n":%d}`, salt, i)}
}

// evidenceEntry is an entry that brings blobs.
func evidenceEntry(i int, blobs ...[]byte) ledger.Entry {
	var list []string
	for n, blob := range blobs {
		list = append(list, fmt.Sprintf(`{"name":"part %d","sha256":"%x","len":%d}`, n, sha256.Sum256(blob), len(blob)))
	}
	leaf := fmt.Appendf(nil, `{"kind":"test.evidence","n":%d,"evidence":[%s]}`, i, strings.Join(list, ","))
	return ledger.Entry{Leaf: leaf, Blobs: blobs}
}

// tamperBlob is a blob of a length, without a pattern.
func tamperBlob(salt string, length int) []byte {
	blob := make([]byte, 0, length+sha256.Size)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", salt, length))
	for len(blob) < length {
		blob = append(blob, sum[:]...)
		sum = sha256.Sum256(sum[:])
	}
	return blob[:length]
}
