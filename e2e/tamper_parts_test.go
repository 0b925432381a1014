//go:build slow

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	encoding "encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// A tamperFile is a file of a bundle, and what is known of it.
type tamperFile struct {
	object string
	path   string
	data   []byte
	level  int // of a tile
	n      int // of a tile or entry bundle

	cuts   []int // where what it consists of begins or ends
	owners []int // of a blob: the entry that names it first
}

// Kinds of things that are altered.
const (
	objectCheckpoint = "checkpoint"
	objectSignature  = "signature"
	objectWitnessed  = "witnessed checkpoint"
	objectKept       = "kept checkpoint"
	objectFormat     = "format marker"
	objectLeaf       = "leaf"
	objectEntries    = "entry bundle"
	objectTile       = "tile"
	objectHash       = "tree hash"
	objectBlob       = "blob"
	objectKey        = "key"
	objectProof      = "proof"
	objectArchive    = "archive"
	objectBundle     = "bundle"
	objectAnchor     = "anchor"
	objectOnce       = "once row"
	objectHead       = "head"
	objectRow        = "row"
	objectStoreFile  = "store file"
	objectDirectory  = "data directory"
)

// file is a file of the log's last bundle.
func (l *tamperLog) file(size int, path string) tamperFile {
	f := tamperFile{path: path, data: l.bundles[size][path]}
	switch {
	case path == verify.CheckpointPath:
		f.object, f.cuts = objectCheckpoint, lineCuts(f.data)
	case path == verify.WitnessedPath:
		f.object, f.cuts = objectWitnessed, lineCuts(f.data)
	case path == verify.FormatPath:
		f.object, f.cuts = objectFormat, []int{strings.Index(verify.Format, "/")}
	case strings.HasPrefix(path, "blob/"):
		f.object, f.cuts, f.owners = objectBlob, every(4096, len(f.data)), l.naming(path)
	case strings.HasPrefix(path, "tile/entries/"):
		f.object, f.n, f.cuts = objectEntries, tileNumber(strings.TrimPrefix(path, "tile/entries/")), recordCuts(f.data)
	default:
		level, name, _ := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
		f.object, f.n, f.cuts = objectTile, tileNumber(name), every(sha256.Size, len(f.data))
		f.level, _ = strconv.Atoi(level)
	}
	return f
}

// tileNumber is the number in the last part of a tile's path.
func tileNumber(name string) int {
	groups, _, _ := strings.Cut(name, ".p/")
	n, _ := strconv.Atoi(strings.NewReplacer("x", "", "/", "").Replace(groups))
	return n
}

func lastPart(path string) string { return path[strings.LastIndex(path, "/")+1:] }

// naming are the entries that name the blob of a path.
func (l *tamperLog) naming(path string) []int {
	var entries []int
	for i, leaf := range l.leaves {
		if bytes.Contains(leaf, []byte(lastPart(path))) {
			entries = append(entries, i)
		}
	}
	return entries
}

// place says in a case which entries the byte at an offset belongs to. resized
// says that the file has another length than it should have.
func (f tamperFile) place(c tamperCase, at int, resized bool) tamperCase {
	switch {
	case f.object == objectBlob:
		return c.at(f.owners[0])
	case f.object == objectEntries && at < len(f.data):
		return c.at(256*f.n + recordAt(f.data, at))
	case f.object == objectTile && resized:
		return c.within(f.span(0).first, f.span(len(f.data)/sha256.Size-1).last)
	case f.object == objectTile && f.level == 0:
		return c.at(f.span(at / sha256.Size).first)
	case f.object == objectTile:
		return c.within(f.span(at/sha256.Size).first, f.span(at/sha256.Size).last)
	}
	return c
}

type entrySpan struct{ first, last int }

// span are the entries under hash i of a tile.
func (f tamperFile) span(i int) entrySpan {
	under := 1 << (8 * f.level)
	first := (256*f.n + i) * under
	return entrySpan{first, first + under - 1}
}

// every is where the parts of a length begin and end.
func every(part, length int) []int {
	var cuts []int
	for at := 0; at <= length; at += part {
		cuts = append(cuts, at)
	}
	return cuts
}

// lineCuts is where the lines of a text end.
func lineCuts(text []byte) []int {
	var cuts []int
	for i, b := range text {
		if b == '\n' {
			cuts = append(cuts, i+1)
		}
	}
	return cuts
}

// recordCuts is where the records of an entry bundle begin, and their leaves.
func recordCuts(data []byte) []int {
	var cuts []int
	for at := 0; at < len(data); at += 2 + int(encoding.BigEndian.Uint16(data[at:])) {
		cuts = append(cuts, at, at+2)
	}
	return cuts
}

// recordAt is the record of an entry bundle that has the byte at an offset.
func recordAt(data []byte, offset int) int {
	for at, i := 0, 0; ; i++ {
		if at += 2 + int(encoding.BigEndian.Uint16(data[at:])); offset < at {
			return i
		}
	}
}

// entriesOf is an entry bundle.
func entriesOf(leaves [][]byte) []byte {
	data := []byte{}
	for _, leaf := range leaves {
		data = append(encoding.BigEndian.AppendUint16(data, uint16(len(leaf))), leaf...)
	}
	return data
}

// entryBundles are the entry bundles of some leaves. The last one is that of a
// log of size entries.
func entryBundles(leaves [][]byte, size int) bundleFiles {
	files := bundleFiles{}
	for n := 0; 256*n < size; n++ {
		width := min(256, size-256*n)
		files[verify.EntriesPath(uint64(n), width)] = entriesOf(leaves[min(256*n, len(leaves)):min(256*n+256, len(leaves))])
	}
	return files
}

// treeOf are the tiles of some leaves, by the definitions of RFC 6962 and
// tlog-tiles, and their root.
func treeOf(leaves [][]byte) (tiles bundleFiles, root [32]byte) {
	tiles = bundleFiles{}
	hashes := make([][32]byte, len(leaves))
	for i, leaf := range leaves {
		hashes[i] = sha256.Sum256(append([]byte{0}, leaf...))
	}
	root = treeHash(hashes)
	for level := 0; len(hashes) > 0; level++ {
		var above [][32]byte
		for n := 0; 256*n < len(hashes); n++ {
			part := hashes[256*n : min(256*n+256, len(hashes))]
			var tile []byte
			for _, h := range part {
				tile = append(tile, h[:]...)
			}
			tiles[verify.TilePath(level, uint64(n), len(part))] = tile
			if len(part) == 256 {
				above = append(above, treeHash(part))
			}
		}
		hashes = above
	}
	return tiles, root
}

// treeHash is MTH of RFC 6962, section 2.1, over leaf hashes.
func treeHash(hashes [][32]byte) [32]byte {
	if len(hashes) == 1 {
		return hashes[0]
	}
	k := 1
	for 2*k < len(hashes) {
		k *= 2
	}
	left, right := treeHash(hashes[:k]), treeHash(hashes[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, left[:], right[:]))
}

// checkpointText is the text of a checkpoint.
func checkpointText(origin string, size int, root [32]byte) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, base64.StdEncoding.EncodeToString(root[:]))
}

func signNote(t testing.TB, text string, signers ...note.Signer) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// blobFile is a blob and the path that it has.
func blobFile(blob []byte) bundleFiles {
	sum := sha256.Sum256(blob)
	return bundleFiles{"blob/" + hex.EncodeToString(sum[:]): blob}
}
