// Package logtest has a log in memory, made of x/mod/sumdb alone, to test those
// who read logs with.
package logtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// Origin is the name of every log of this package.
const Origin = "log.example"

// Log is a log in memory. It is safe for concurrent use.
type Log struct {
	t testing.TB

	mu        sync.Mutex
	key       Key
	leaves    [][]byte
	hashes    []tlog.Hash
	blobs     map[string][]byte // by path
	witnessed []byte
	asked     map[string]int // by path
	spoil     func(path string, data []byte) ([]byte, error)
}

// Key is a log's key.
type Key struct {
	VKey   string
	Signer note.Signer
}

// NewKey makes the key that follows from a seed.
func NewKey(t testing.TB, seed string) Key {
	t.Helper()
	sum := sha256.Sum256([]byte(seed))
	skey, vkey, err := note.GenerateKey(bytes.NewReader(sum[:]), Origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return Key{vkey, signer}
}

// New returns a log of its first entry, with the key that follows from a seed.
func New(t testing.TB, seed string) *Log {
	t.Helper()
	l := &Log{t: t, key: NewKey(t, seed), blobs: map[string][]byte{}, asked: map[string]int{}}
	l.Append(fmt.Appendf(nil, `{"v":1,"kind":"ledger.created","time":"2026-01-02T03:04:05Z","format":"countersign-ledger/1","origin":%q,"vkey":%q}`, Origin, l.key.VKey))
	return l
}

// Append appends an entry.
func (l *Log) Append(leaf []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	hashes, err := tlog.StoredHashes(int64(len(l.leaves)), leaf, tlog.HashReaderFunc(l.readHashes))
	if err != nil {
		l.t.Fatal(err)
	}
	l.leaves, l.hashes = append(l.leaves, leaf), append(l.hashes, hashes...)
}

// GrowTo appends entries of a text until there are size; each hundredth brings
// a blob.
func (l *Log) GrowTo(size uint64, text string) {
	for i := l.Size(); i < size; i++ {
		if i%100 != 0 {
			l.Append(fmt.Appendf(nil, `{"kind":"test.entry","time":"2026-01-02T03:04:%02dZ","n":%d,"text":%q}`, i%60, i, text))
			continue
		}
		blob := bytes.Repeat(fmt.Appendf(nil, "blob %d %s\n", i, text), 100)
		sum := sha256.Sum256(blob)
		l.mu.Lock()
		l.blobs[verify.BlobPath(sum)] = blob
		l.mu.Unlock()
		l.Append(fmt.Appendf(nil, `{"kind":"test.blob","n":%d,"evidence":[{"name":"log","sha256":"%x","len":%d}]}`, i, sum, len(blob)))
	}
}

// Rotate gives the log the key that follows from another seed.
func (l *Log) Rotate(seed string) {
	l.mu.Lock()
	next := NewKey(l.t, seed)
	text := fmt.Sprintf("countersign-ledger/key-rotation/v1\n%s\n%d\n%s\n%s\n", Origin, len(l.leaves), l.key.VKey, next.VKey)
	statement, err := note.Sign(&note.Note{Text: text}, l.key.Signer, next.Signer)
	if err != nil {
		l.t.Fatal(err)
	}
	quoted, err := json.Marshal(string(statement))
	if err != nil {
		l.t.Fatal(err)
	}
	l.key = next
	l.mu.Unlock()
	l.Append(fmt.Appendf(nil, `{"v":1,"kind":"ledger.rotated","time":"2026-01-02T03:04:05Z","statement":%s}`, quoted))
}

// VKey is the log's present verifier key.
func (l *Log) VKey() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.key.VKey
}

// Size is the number of entries.
func (l *Log) Size() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.leaves))
}

// Leaf is an entry.
func (l *Log) Leaf(index uint64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaves[index]
}

// Blobs is the number of blobs.
func (l *Log) Blobs() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.blobs))
}

// Checkpoint signs the present size, also by further signers.
func (l *Log) Checkpoint(more ...note.Signer) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.checkpoint(more...)
}

func (l *Log) checkpoint(more ...note.Signer) []byte {
	size := int64(len(l.leaves))
	root, err := tlog.TreeHash(size, tlog.HashReaderFunc(l.readHashes))
	if err != nil {
		l.t.Fatal(err)
	}
	text := fmt.Sprintf("%s\n%d\n%s\n", Origin, size, base64.StdEncoding.EncodeToString(root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, append([]note.Signer{l.key.Signer}, more...)...)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// Witness makes the present checkpoint, signed by further signers, the
// witnessed one.
func (l *Log) Witness(more ...note.Signer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.witnessed = l.checkpoint(more...)
}

// Spoil has f change what Get returns; nil ends that. f may call the log.
func (l *Log) Spoil(f func(path string, data []byte) ([]byte, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spoil = f
}

// Requests returns how often Get was asked for each path since the last call.
func (l *Log) Requests() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	asked := l.asked
	l.asked = map[string]int{}
	return asked
}

// Get implements verify.Source, for tiles of every width that the log has
// filled.
func (l *Log) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.asked[path]++
	data, err := l.get(path)
	spoil := l.spoil
	l.mu.Unlock()
	if err == nil && spoil != nil {
		data, err = spoil(path, bytes.Clone(data))
	}
	if int64(len(data)) > limit {
		return nil, verify.ErrTooLong
	}
	return data, err
}

func (l *Log) get(path string) ([]byte, error) {
	absent := fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	switch path {
	case verify.CheckpointPath:
		return l.checkpoint(), nil
	case verify.WitnessedPath:
		if l.witnessed == nil {
			return nil, absent
		}
		return l.witnessed, nil
	}
	if blob, ok := l.blobs[path]; ok {
		return blob, nil
	}
	tile, entries, ok := parsePath(path)
	if !ok || tile.N<<8+int64(tile.W) > int64(len(l.leaves))>>(8*tile.L) {
		return nil, absent
	}
	if !entries {
		return tlog.ReadTileData(tile, tlog.HashReaderFunc(l.readHashes))
	}
	var data []byte
	for _, leaf := range l.leaves[tile.N<<8:][:tile.W] {
		data = append(binary.BigEndian.AppendUint16(data, uint16(len(leaf))), leaf...)
	}
	return data, nil
}

// readHashes is a tlog.HashReaderFunc.
func (l *Log) readHashes(indexes []int64) ([]tlog.Hash, error) {
	var found []tlog.Hash
	for _, i := range indexes {
		found = append(found, l.hashes[i])
	}
	return found, nil
}

// Files are the paths of a bundle of the present size.
func (l *Log) Files() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	files := map[string]bool{verify.CheckpointPath: true, verify.FormatPath: true}
	if l.witnessed != nil {
		files[verify.WitnessedPath] = true
	}
	for path := range l.blobs {
		files[path] = true
	}
	for _, tile := range tlog.NewTiles(8, 0, int64(len(l.leaves))) {
		files[verify.TilePath(tile.L, uint64(tile.N), tile.W)] = true
		if tile.L == 0 {
			files[verify.EntriesPath(uint64(tile.N), tile.W)] = true
		}
	}
	return files
}
