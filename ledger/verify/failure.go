package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
)

// A failure is a problem with the verdict that follows from it.
type failure struct {
	code Code
	Problem
}

func (f *failure) Error() string { return f.Text }

func fail(code Code, resource, format string, args ...any) *failure {
	return &failure{code: code, Problem: Problem{Resource: resource, Text: fmt.Sprintf(format, args...)}}
}

// at names the entry that the failure is about.
func (f *failure) at(index uint64) *failure {
	f.Index = &index
	return f
}

// within names the entries [from, to) that the failure concerns.
func (f *failure) within(from, to uint64) *failure {
	if to == from+1 {
		return f.at(from)
	}
	f.Range = &[2]uint64{from, to - 1}
	return f
}

// hashes says which hash there should have been, and which there is.
func (f *failure) hashes(expected, found []byte) *failure {
	f.Expected, f.Found = hex.EncodeToString(expected), hex.EncodeToString(found)
	return f
}

// before says whether f is to be reported rather than g: what breaks the
// cryptography before what breaks a rule, then what comes first in the log.
func (f *failure) before(g *failure) bool {
	if g == nil {
		return true
	}
	if (f.code == Invalid) != (g.code == Invalid) {
		return g.code == Invalid
	}
	if f.first() != g.first() {
		return f.first() < g.first()
	}
	return f.Resource < g.Resource
}

// first is the first entry that the failure is about; one that is about no
// entry comes after all that are.
func (f *failure) first() uint64 {
	switch {
	case f.Index != nil:
		return *f.Index
	case f.Range != nil:
		return f.Range[0]
	default:
		return ^uint64(0)
	}
}

// asFailure makes a failure of any error.
func asFailure(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	return fail(Internal, "", "%s", reason(err))
}

// reason is the text of an error.
func reason(err error) string {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "interrupted"
	}
	return err.Error()
}

// A reader gets resources of a log and says what it means when one cannot be
// had.
type reader struct {
	src    Source
	listed bool // the source is a bundle: each resource has to be under its own name
}

// get reads a resource. Its error is a *failure.
func (r reader) get(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := r.src.Get(ctx, path, limit)
	if err != nil {
		return nil, r.explain(ctx, path, err)
	}
	return data, nil
}

// explain says what an error of the source means.
func (r reader) explain(ctx context.Context, path string, err error) *failure {
	switch {
	case ctx.Err() != nil:
		return fail(Internal, "", "interrupted")
	case errors.Is(err, fs.ErrNotExist):
		return fail(Incomplete, path, "the file is absent")
	case errors.Is(err, ErrTooLong), errors.Is(err, errNotRegular):
		return fail(Tampered, path, "%s", err)
	default:
		return fail(Incomplete, path, "it cannot be read: %s", err)
	}
}

// tile reads a tile, which may be damaged. Its error is a *failure.
func (r reader) tile(ctx context.Context, level int, n uint64, width int) ([]byte, error) {
	path, length := TilePath(level, n, width), width*hashSize
	data, err := r.get(ctx, path, int64(length))
	if r.outgrown(err, width) {
		// A log that has grown since may have dropped its partial tiles.
		if full, e := r.get(ctx, TilePath(level, n, tileWidth), MaxTile); e == nil && len(full) == MaxTile {
			return full[:length], nil
		}
	}
	if err != nil {
		return nil, err
	}
	if len(data) != length {
		return nil, lengthFailure(path, length, len(data))
	}
	return data, nil
}

func lengthFailure(path string, expected, found int) *failure {
	f := fail(Tampered, path, "it has the wrong length")
	f.Expected, f.Found = fmt.Sprintf("%d bytes", expected), fmt.Sprintf("%d bytes", found)
	return f
}

// outgrown says whether the full resource may stand in for a partial one.
func (r reader) outgrown(err error, width int) bool {
	f, ok := errors.AsType[*failure](err)
	return ok && f.code == Incomplete && width < tileWidth && !r.listed
}

// maxEntries is what an entry bundle of that width has at most, in bytes.
func maxEntries(width int) int64 { return int64(width) * (2 + MaxLeaf) }

// entries reads an entry bundle and takes it apart as far as it goes.
func (r reader) entries(ctx context.Context, n uint64, width int) (bundle, error) {
	b, _, err := r.entriesWithin(ctx, n, width, maxEntries(width))
	return b, err
}

// entriesWithin reads an entry bundle that may have no more than limit bytes,
// which can be less than it may have as a bundle; then longer says that it has
// more.
func (r reader) entriesWithin(ctx context.Context, n uint64, width int, limit int64) (b bundle, longer bool, err error) {
	path := EntriesPath(n, width)
	data, err := r.src.Get(ctx, path, limit)
	if err == nil {
		return splitBundle(data, width), false, nil
	}
	if limit < maxEntries(width) && errors.Is(err, ErrTooLong) {
		return bundle{}, true, nil
	}
	f := r.explain(ctx, path, err)
	if r.outgrown(f, width) {
		full, err := r.src.Get(ctx, EntriesPath(n, tileWidth), MaxEntries)
		if err == nil {
			b = splitBundle(full, width)
			b.rest = 0
			return b, false, nil
		}
	}
	return bundle{}, false, f
}
