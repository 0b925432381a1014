package view

import (
	"context"
	"encoding/base64"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Proof proves that the log has an entry at an index, without anything but the
// key being needed to check it (https://c2sp.org/tlog-proof). Its extra line
// holds the entry. It rests on the view's checkpoint.
func (v *View) Proof(ctx context.Context, index uint64) ([]byte, error) {
	leaf, err := v.Entry(ctx, index)
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveRecord(int64(v.Checkpoint.Size), int64(index), v.hashReader(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot read the tree over entry %d: %w", index, err)
	}
	proof := fmt.Appendf(nil, "c2sp.org/tlog-proof@v1\nextra %s\nindex %d\n", base64.StdEncoding.EncodeToString(leaf), index)
	for _, hash := range path {
		proof = base64.StdEncoding.AppendEncode(proof, hash[:])
		proof = append(proof, '\n')
	}
	proof = append(proof, '\n')
	return append(proof, v.Note...), nil
}
