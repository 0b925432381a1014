package verify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"iter"
)

// inventory looks for what a bundle holds and should not.
type inventory struct {
	tree    *tree
	blobs   *sorter // that the bundle holds
	present bool    // whether there is the file that says what this is
	first   *failure
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
	if !ok {
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
	old, err := v.tree.get(ctx, path, res.limit())
	if err != nil {
		return v.kept(err)
	}
	var now []byte
	if res.kind == kindTile {
		now, err = v.tree.tile(ctx, res.level, res.n)
		now = now[:min(len(now), res.width*hashSize)]
	} else {
		now, err = v.tree.get(ctx, EntriesPath(res.n, width), MaxEntries)
		now = now[:prefixLength(now, res.width)]
	}
	if err != nil {
		return v.kept(err)
	}
	if !bytes.Equal(old, now) {
		f := fail(Tampered, path, "the file of an earlier size is not the beginning of the present one")
		f.Expected, f.Found = fmt.Sprintf("the first %d bytes of it", len(now)), fmt.Sprintf("%d others", len(old))
		v.found(f)
	}
	return nil
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
