package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
)

// blobCheck fetches and hashes the blobs that entries name.
type blobCheck struct {
	reader
	mu    sync.Mutex
	first *failure // the first in the log
	rule  *failure // the first length that is not that of the blob
	sound uint64
}

// run checks every blob once. It returns the first failure, also of the
// temporary files.
func (c *blobCheck) run(ctx context.Context, named *sorter, workers int) error {
	slots := make(chan struct{}, workers)
	var running sync.WaitGroup
	defer running.Wait()
	start := func(refs []record) {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			c.check(ctx, refs)
		})
	}
	var same []record // of one blob, by length
	for r, err := range named.sorted() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if len(same) > 0 && same[0].key != r.key {
			start(same)
			same = nil
		}
		same = append(same, r)
	}
	if len(same) > 0 {
		start(same)
	}
	running.Wait()
	if c.first != nil {
		return c.first
	}
	return nil
}

// check checks one blob, which entries name with one length or with several.
func (c *blobCheck) check(ctx context.Context, refs []record) {
	index := refs[0].index
	for _, r := range refs {
		index = min(index, r.index)
	}
	path := BlobPath(refs[0].key)
	data, err := c.get(ctx, path, MaxBlob)
	var f *failure
	if err != nil {
		f = asFailure(err)
		if f.code != Internal {
			f.at(index)
		}
	} else if sum := sha256.Sum256(data); !bytes.Equal(sum[:], refs[0].key[:]) {
		f = fail(Tampered, path, "the blob is not the one that the entry names").at(index).hashes(refs[0].key[:], sum[:])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f != nil {
		if f.before(c.first) {
			c.first = f
		}
		return
	}
	c.sound++
	for _, r := range refs {
		if r.length == uint64(len(data)) {
			continue
		}
		f := fail(Invalid, path, "the blob has another length than the entry says").at(r.index)
		f.Expected, f.Found = fmt.Sprintf("%d bytes", r.length), fmt.Sprintf("%d bytes", len(data))
		if f.before(c.rule) {
			c.rule = f
		}
	}
}
