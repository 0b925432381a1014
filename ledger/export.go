package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign-dev/countersign/ledger/bundle"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// Export brings the bundle in the directory dir up to date with the acknowledged entries, and makes it when there is none.
// All of it is verified before it is put in place, by code that shares nothing with the writer. Appends go on meanwhile;
// what they add is for the next export. One that was interrupted can be repeated.
//
// A bundle that this log does not continue is a *bundle.RollbackError and stays as it is.
func (l *Log) Export(ctx context.Context, dir string) error {
	if _, err := bundle.Export(ctx, source{l}, dir, nil); err != nil {
		return fmt.Errorf("exporting the ledger: %w", err)
	}
	return nil
}

// source is a store for the verifier to read.
type source struct{ store }

// Get implements verify.Source.
func (s source) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	res, err := s.resource(path)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	case err != nil:
		return nil, err
	case int64(len(res.data)) > limit:
		return nil, fmt.Errorf("%s has %d bytes: %w", path, len(res.data), verify.ErrTooLong)
	case res.changes:
		return bytes.Clone(res.data), nil // others have it too
	}
	return res.data, nil
}
