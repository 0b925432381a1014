package ledger

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Paths of what is served beside tiles.
const (
	pathCheckpoint = "checkpoint"
	pathWitnessed  = "checkpoint.witnessed"
	prefixBlobPath = "blob/"
)

// resource is what is served under a path.
type resource struct {
	data    []byte
	text    bool // may be shown to a reader as it is; else bytes
	changes bool // not to be cached; else it never changes
	shrinks bool // worth compressing
}

// store is what a handler serves: a Log or a Copy.
type store interface {
	// resource returns what is at a path without a leading slash, or ErrNotFound.
	resource(path string) (resource, error)
}

// resource implements store.
func (l *Log) resource(path string) (resource, error) {
	if err := l.acquire(); err != nil {
		return resource{}, err
	}
	defer l.release()
	now := l.published.Load()
	switch {
	case path == pathCheckpoint:
		return resource{data: now.Note, text: true, changes: true}, nil
	case path == pathWitnessed:
		cosigned := l.witnessed.Load()
		if cosigned == nil {
			return resource{}, fmt.Errorf("a checkpoint that witnesses have cosigned is %w", ErrNotFound)
		}
		return resource{data: cosigned.Note, text: true, changes: true}, nil
	case strings.HasPrefix(path, prefixBlobPath):
		sum, err := parseBlobPath(path)
		if err != nil {
			return resource{}, err
		}
		data, err := l.blob(sum)
		return resource{data: data}, err
	}
	t, err := parseTileIn(path, now.Size)
	if err != nil {
		return resource{}, err
	}
	data, err := l.rows.tile(t)
	if err != nil {
		return resource{}, lost(err)
	}
	if t.L != entriesLevel && len(data) != t.W*tlog.HashSize {
		return resource{}, &IntegrityError{Index: -1,
			Problem: fmt.Sprintf("the hashes stored for %s have %d bytes, not %d", path, len(data), t.W*tlog.HashSize)}
	}
	return resource{data: data, shrinks: t.L == entriesLevel}, nil
}

// parseTileIn reads the path of a tile that a tree of this many entries has; any other is ErrNotFound.
func parseTileIn(path string, size uint64) (tlog.Tile, error) {
	t, err := parseTilePath(path)
	if err != nil {
		return tlog.Tile{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	if !inTree(t, size) {
		return tlog.Tile{}, fmt.Errorf("%s is %w: %d entries do not fill it", path, ErrNotFound, size)
	}
	return t, nil
}

// parseBlobPath reads the path of a blob; any other is ErrNotFound.
func parseBlobPath(path string) (sum [32]byte, err error) {
	name := strings.TrimPrefix(path, prefixBlobPath)
	n, err := hex.Decode(sum[:], []byte(name[:min(len(name), 2*len(sum))]))
	if err != nil || n != len(sum) || blobPath(sum) != path {
		return sum, fmt.Errorf("%w: %q is not the path of a blob, which ends in 64 lowercase hexadecimal digits", ErrNotFound, path)
	}
	return sum, nil
}

func blobPath(sum [32]byte) string { return prefixBlobPath + hex.EncodeToString(sum[:]) }
