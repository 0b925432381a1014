package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
)

// inventory looks for what a bundle holds and should not.
type inventory struct {
	tree    *tree
	blobs   *sorter // that the bundle holds
	present bool    // whether there is the file that says what this is
	first   *failure

	last     string // path of the entry bundle of the present size that was read last
	lastData []byte
}

// run goes over all files of a bundle. Blobs are only noted.
func (v *inventory) run(ctx context.Context, files Lister) error {
	for path, err := range files.List(ctx) {
		if ctx.Err() != nil {
			return fail(Internal, "", "interrupted")
		}
		if err != nil {
			return fail(Incomplete, path, "the bundle cannot be listed: %s", err)
		}
		if err := v.file(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

func (v *inventory) file(ctx context.Context, path string) error {
	res, ok := parsePath(path)
	switch {
	case strings.HasPrefix(path, "tile/") && strings.HasSuffix(path, "/"):
		return nil // an interrupted export may leave it
	case strings.HasSuffix(path, "/"):
		v.found(fail(Tampered, path, "the directory is empty: it does not belong to a ledger"))
		return nil
	case !ok:
		v.found(fail(Tampered, path, "the file does not belong to a ledger"))
		return nil
	}
	switch res.kind {
	case kindFormat:
		v.present = true
	case kindBlob:
		return v.blobs.add(record{key: res.sum})
	case kindTile, kindEntries:
		width, ok := res.belongs(v.tree.size)
		if !ok {
			v.found(fail(Tampered, path, "the file does not belong to a ledger of %d entries", v.tree.size))
		} else if res.width < width {
			return v.earlier(ctx, path, res, width)
		}
	}
	return nil
}

// found keeps the failure whose path comes first.
func (v *inventory) found(f *failure) {
	if f.before(v.first) {
		v.first = f
	}
}

// earlier checks a partial tile or entry bundle of an earlier size: the one of
// the present width has to begin with it.
func (v *inventory) earlier(ctx context.Context, path string, res resource, width int) error {
	f := fail(Tampered, path, "the file of an earlier size is not the beginning of the present one")
	if !f.before(v.first) {
		return nil // it would not be reported
	}
	now, err := v.beginning(ctx, res, width)
	if err != nil {
		return v.kept(err)
	}
	f.Expected = fmt.Sprintf("the first %d bytes of it", len(now))
	old, err := v.tree.src.Get(ctx, path, int64(len(now)))
	switch {
	case errors.Is(err, ErrTooLong):
		f.Found = "more"
	case err != nil:
		return v.kept(v.tree.explain(ctx, path, err))
	case bytes.Equal(old, now):
		return nil
	default:
		f.Found = fmt.Sprintf("%d others", len(old))
	}
	v.found(f)
	return nil
}

// beginning is what a tile or entry bundle of an earlier size has to be: the
// beginning of the one of the present width. A bundle has many earlier sizes, and
// files of one lie together.
func (v *inventory) beginning(ctx context.Context, res resource, width int) ([]byte, error) {
	if res.kind == kindTile {
		tile, err := v.tree.tile(ctx, res.level, res.n)
		return tile[:min(len(tile), res.width*hashSize)], err
	}
	if path := EntriesPath(res.n, width); v.last != path {
		data, err := v.tree.get(ctx, path, MaxEntries)
		if err != nil {
			return nil, err
		}
		v.last, v.lastData = path, data
	}
	return v.lastData[:prefixLength(v.lastData, res.width)], nil
}

// kept keeps a failure, unless it ends the verification.
func (v *inventory) kept(err error) error {
	f := asFailure(err)
	if f.code == Internal {
		return f
	}
	v.found(f)
	return nil
}

// prefixLength is how many bytes of an entry bundle its first width entries are.
func prefixLength(data []byte, width int) int {
	n := 0
	for _, leaf := range splitBundle(data, width).leaves {
		n += 2 + len(leaf)
	}
	return n
}

// strayBlobs looks for blobs that no entry names.
func (v *inventory) strayBlobs(named *sorter) error {
	next, stop := iter.Pull2(named.sorted())
	defer stop()
	name, err, more := next()
	for held, e := range v.blobs.sorted() {
		for more && e == nil && err == nil && bytes.Compare(name.key[:], held.key[:]) < 0 {
			name, err, more = next()
		}
		if e != nil || err != nil {
			return fail(Internal, "", "%s", reason(cmp.Or(e, err)))
		}
		if !more || name.key != held.key {
			v.found(fail(Tampered, BlobPath(held.key), "no entry names this blob"))
		}
	}
	return nil
}
