package verify

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

const testOrigin = "example.com/log"

// A pair is a signing key and its verifier key, the same for the same name and
// seed.
type pair struct {
	vkey string
	note.Signer
}

func newPair(t testing.TB, name string, seed byte) pair {
	t.Helper()
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('A'+seed%26)), 32)))
	vkey, err := note.NewEd25519VerifierKey(name, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	id := strings.Split(vkey, "+")[1]
	skey := "PRIVATE+KEY+" + name + "+" + id + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...))
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return pair{vkey, signer}
}

// A testLog writes bundles, by the recursive definitions of RFC 6962 and
// tlog-tiles and sharing nothing with the package but its path constants.
type testLog struct {
	origin string
	keys   []pair // the last one signs
	leaves [][]byte
	blobs  map[string][]byte
}

// newTestLog is a log whose entry 0 names the key of seed 0.
func newTestLog(t testing.TB) *testLog {
	l := &testLog{origin: testOrigin, keys: []pair{newPair(t, testOrigin, 0)}, blobs: map[string][]byte{}}
	l.add(created(testOrigin, l.keys[0].vkey))
	return l
}

func created(origin, vkey string) string {
	return object("v", 1, "kind", "ledger.created", "time", "2026-01-02T03:04:05Z",
		"format", "countersign-ledger/1", "origin", origin, "vkey", vkey)
}

// object is a JSON object with these members in this order.
func object(members ...any) string {
	var b strings.Builder
	for i := 0; i < len(members); i += 2 {
		value, err := json.Marshal(members[i+1])
		if err != nil {
			panic(err)
		}
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		fmt.Fprintf(&b, "%q:%s", members[i], value)
	}
	return b.String() + "}"
}

func (l *testLog) add(leaves ...string) *testLog {
	for _, leaf := range leaves {
		l.leaves = append(l.leaves, []byte(leaf))
	}
	return l
}

// fill adds ordinary entries until there are n.
func (l *testLog) fill(n int) *testLog {
	for i := len(l.leaves); i < n; i++ {
		l.add(object("kind", "test", "time", "2026-01-02T03:04:05.678Z", "once", fmt.Sprintf("key-%d", i), "text", "entry ü "+fmt.Sprint(i)))
	}
	return l
}

// evidence adds an entry with blobs.
func (l *testLog) evidence(blobs ...string) *testLog {
	var list []any
	for i, blob := range blobs {
		sum := sha256.Sum256([]byte(blob))
		l.blobs["blob/"+hex.EncodeToString(sum[:])] = []byte(blob)
		list = append(list, map[string]any{"name": fmt.Sprint("e", i), "sha256": hex.EncodeToString(sum[:]), "len": len(blob)})
	}
	return l.add(object("kind", "test.evidence", "evidence", list))
}

func rotationText(origin string, index int, old, next string) string {
	return fmt.Sprintf("countersign-ledger/key-rotation/v1\n%s\n%d\n%s\n%s\n", origin, index, old, next)
}

func sign(t testing.TB, text string, signers ...note.Signer) string {
	t.Helper()
	msg, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return string(msg)
}

// rotate replaces the key by the one of a seed.
func (l *testLog) rotate(t testing.TB, seed byte) *testLog {
	old, next := l.keys[len(l.keys)-1], newPair(t, l.origin, seed)
	statement := sign(t, rotationText(l.origin, len(l.leaves), old.vkey, next.vkey), old, next)
	l.add(object("v", 1, "kind", "ledger.rotated", "time", "2026-01-02T03:04:05Z", "statement", statement))
	l.keys = append(l.keys, next)
	return l
}

func leafHash(leaf []byte) [32]byte { return sha256.Sum256(append([]byte{0}, leaf...)) }

// mth is MTH of RFC 6962, section 2.1, over leaf hashes.
func mth(hashes [][32]byte) [32]byte {
	switch len(hashes) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return hashes[0]
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	left, right := mth(hashes[:k]), mth(hashes[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

func (l *testLog) hashes(size int) [][32]byte {
	var hashes [][32]byte
	for _, leaf := range l.leaves[:size] {
		hashes = append(hashes, leafHash(leaf))
	}
	return hashes
}

// text is the text of the checkpoint of a size.
func (l *testLog) text(size int) string {
	root := mth(l.hashes(size))
	return fmt.Sprintf("%s\n%d\n%s\n", l.origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

// checkpoint is the one of a size, signed by the given keys or else the last.
func (l *testLog) checkpoint(t testing.TB, size int, signers ...note.Signer) []byte {
	if len(signers) == 0 {
		signers = []note.Signer{l.keys[len(l.keys)-1]}
	}
	return []byte(sign(t, l.text(size), signers...))
}

// bundle is all files of the bundle of the whole log.
func (l *testLog) bundle(t testing.TB) mapSource {
	m := l.bundleAt(len(l.leaves))
	m["checkpoint"] = l.checkpoint(t, len(l.leaves))
	maps.Copy(m, l.blobs)
	return m
}

// bundleAt is all tiles and entry bundles of a size, and the format.
func (l *testLog) bundleAt(size int) mapSource {
	m := mapSource{"countersign-ledger": []byte("countersign-ledger/1\n")}
	for i := 0; i < size; i += 256 {
		var entries []byte
		to := min(i+256, size)
		for _, leaf := range l.leaves[i:to] {
			entries = binary.BigEndian.AppendUint16(entries, uint16(len(leaf)))
			entries = append(entries, leaf...)
		}
		m["tile/entries/"+name(i/256, to-i)] = entries
	}
	hashes := l.hashes(size)
	for level := 0; len(hashes) > 0; level++ {
		var above [][32]byte
		for i := 0; i < len(hashes); i += 256 {
			to := min(i+256, len(hashes))
			var tile []byte
			for _, h := range hashes[i:to] {
				tile = append(tile, h[:]...)
			}
			m[fmt.Sprintf("tile/%d/%s", level, name(i/256, to-i))] = tile
			if to-i == 256 {
				above = append(above, mth(hashes[i:to]))
			}
		}
		hashes = above
	}
	return m
}

// name is the last part of a tile's path; n is less than a million.
func name(n, width int) string {
	s := fmt.Sprintf("%03d", n%1000)
	if n >= 1000 {
		s = fmt.Sprintf("x%03d/%s", n/1000, s)
	}
	if width < 256 {
		s += fmt.Sprintf(".p/%d", width)
	}
	return s
}

// inclusion is PATH of RFC 6962, section 2.1.1.
func inclusion(m int, hashes [][32]byte) [][32]byte {
	if len(hashes) <= 1 {
		return nil
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	if m < k {
		return append(inclusion(m, hashes[:k]), mth(hashes[k:]))
	}
	return append(inclusion(m-k, hashes[k:]), mth(hashes[:k]))
}

// proof is the C2SP tlog-proof of an entry.
func (l *testLog) proof(t testing.TB, index int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n", base64.StdEncoding.EncodeToString(l.leaves[index]), index)
	for _, h := range inclusion(index, l.hashes(len(l.leaves))) {
		fmt.Fprintln(&b, base64.StdEncoding.EncodeToString(h[:]))
	}
	return b.String() + "\n" + string(l.checkpoint(t, len(l.leaves)))
}

// A mapSource is a bundle in memory.
type mapSource map[string][]byte

func (m mapSource) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, ok := m[path]
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case !ok:
		return nil, fs.ErrNotExist
	case int64(len(data)) > limit:
		return nil, ErrTooLong
	}
	return slices.Clone(data), nil
}

func (m mapSource) List(context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for path := range m {
			if !yield(path, nil) {
				return
			}
		}
	}
}

func (m mapSource) clone() mapSource { return maps.Clone(m) }

// set replaces a file.
func (m mapSource) set(path string, data []byte) mapSource {
	m = m.clone()
	m[path] = data
	return m
}

func (m mapSource) without(path string) mapSource {
	m = m.clone()
	delete(m, path)
	return m
}

// write writes the bundle into a directory.
func (m mapSource) write(t testing.TB, dir string) string {
	t.Helper()
	for path, data := range m {
		file := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
