package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// cost is what rows take of a transaction, whose size Badger limits.
type cost struct {
	entries, rows, bytes int64
}

// rowOverhead is more than what Badger counts for a row besides its key and value, in bytes.
const rowOverhead = 32

func (c *cost) add(d cost) {
	c.entries += d.entries
	c.rows += d.rows
	c.bytes += d.bytes
}

func (c *cost) row(key, value int) {
	c.rows++
	c.bytes += int64(key + value + rowOverhead)
}

// cost is that of the rows of an entry, if all its blobs are new.
func (d *draft) cost() cost {
	c := cost{entries: 1}
	c.row(9, 32+len(d.leaf))
	if d.once != nil {
		c.row(33, 8)
	}
	for _, blob := range d.blobs {
		c.row(33, 8+len(blob))
	}
	return c
}

// fits says whether entries fit into a transaction beside the rows of the tree,
// the head and Badger's own.
func (c cost) fits(limit cost) bool {
	nodes := c.entries/255 + 8
	c.rows += nodes + 4
	c.bytes += nodes*(10+32+rowOverhead) + 4096
	return c.rows < limit.rows && c.bytes < limit.bytes
}

// plan is a batch of entries that have got their places, not yet written.
type plan struct {
	first  uint64
	edge   edge // with the entries
	drafts []*draft
	nodes  []node
	once   map[[32]byte]uint64
	blobs  map[[32]byte]ownedBlob
}

// ownedBlob is a blob and the index of the entry that brought it.
type ownedBlob struct {
	first uint64
	data  []byte
}

func newPlan(e *edge) *plan {
	return &plan{first: e.size, edge: *e, once: map[[32]byte]uint64{}, blobs: map[[32]byte]ownedBlob{}}
}

// place gives the entries of a request their places, or none of them. Settled
// means that the answer is final; otherwise it holds once the plan is committed.
func (p *plan) place(stored rows, r *request) (out outcome, settled bool) {
	if r.once {
		sum := *r.drafts[0].once
		if index, ok := p.once[sum]; ok {
			return outcome{first: index}, false
		}
		index, ok, err := stored.once(sum)
		if err != nil {
			return outcome{err: fmt.Errorf(`looking for the "once" of the entry: %w`, err)}, true
		}
		if ok {
			return outcome{first: index}, true
		}
	}
	var brought []map[[32]byte][]byte
	for i, d := range r.drafts {
		blobs, err := p.newBlobs(stored, d, brought)
		var problem *EntryError
		if errors.As(err, &problem) {
			problem.Position = i
		}
		if err != nil {
			return outcome{err: err}, true
		}
		brought = append(brought, blobs)
	}
	out = outcome{first: p.edge.size, appended: true}
	for i, d := range r.drafts {
		p.add(d, brought[i])
	}
	return out, false
}

// newBlobs returns those blobs of a draft that neither the log nor the plan nor
// the entries before it bring, and makes sure that none is lacking.
func (p *plan) newBlobs(stored rows, d *draft, before []map[[32]byte][]byte) (map[[32]byte][]byte, error) {
	blobs := map[[32]byte][]byte{}
	for _, ev := range d.evidence {
		known, err := p.blob(stored, ev.sum, before)
		if err != nil {
			return nil, err
		}
		given, ok := d.blobs[ev.sum]
		switch {
		case known == nil && !ok:
			return nil, &EntryError{Problem: fmt.Sprintf("the evidence %q is neither among the blobs nor in the log", ev.name)}
		case known == nil:
			blobs[ev.sum] = given
		case int64(len(known)) != ev.len:
			return nil, &EntryError{Problem: fmt.Sprintf("the evidence %q says %d bytes, its blob has %d", ev.name, ev.len, len(known))}
		}
	}
	return blobs, nil
}

// blob returns a blob that the log has or will have; nil when there is none.
func (p *plan) blob(stored rows, sum [32]byte, before []map[[32]byte][]byte) ([]byte, error) {
	if b, ok := p.blobs[sum]; ok {
		return b.data, nil
	}
	for _, blobs := range before {
		if b, ok := blobs[sum]; ok {
			return b, nil
		}
	}
	_, data, err := stored.blob(sum)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for a blob of the entry: %w", err)
	}
	return data, nil
}

// add puts an entry at the end.
func (p *plan) add(d *draft, blobs map[[32]byte][]byte) {
	index := p.edge.size
	for sum, data := range blobs {
		p.blobs[sum] = ownedBlob{index, data}
	}
	if d.once != nil {
		p.once[*d.once] = index
	}
	p.drafts = append(p.drafts, d)
	p.edge.append(d.hash, func(n node) { p.nodes = append(p.nodes, n) })
}

// write puts the rows of the plan and the head into a transaction.
func (p *plan) write(txn *badger.Txn, head *Checkpoint) error {
	for i, d := range p.drafts {
		value := make([]byte, 0, len(d.hash)+len(d.leaf))
		value = append(append(value, d.hash[:]...), d.leaf...)
		if err := txn.Set(keyLeaf(p.first+uint64(i)), value); err != nil {
			return err
		}
	}
	for _, n := range p.nodes {
		if err := txn.Set(keyNode(n.level, n.n), n.hash[:]); err != nil {
			return err
		}
	}
	for sum, index := range p.once {
		if err := txn.Set(keyOnce(sum), binary.BigEndian.AppendUint64(nil, index)); err != nil {
			return err
		}
	}
	for sum, blob := range p.blobs {
		value := binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(blob.data)), blob.first)
		if err := txn.Set(keyBlob(sum), append(value, blob.data...)); err != nil {
			return err
		}
	}
	if p.first == 0 {
		if err := txn.Set(keyFormat, []byte(Format)); err != nil {
			return err
		}
	}
	return txn.Set(keyHead, head.Note)
}
