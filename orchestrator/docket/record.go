package docket

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// maxBehind is how far behind the ledger the clock may be before that is logged.
const maxBehind = time.Minute

// record appends drafts in one call and applies what the ledger has then. When
// it returns nil they are durable and applied.
//
// After an error the ledger is read all the same: what it has is what counts,
// so that an append whose acknowledgement was lost is not repeated.
func (d *Docket) record(ctx context.Context, drafts []incident.Draft) error {
	entries, err := seal(drafts)
	if err != nil || len(entries) == 0 {
		return err
	}
	failure := d.append(ctx, entries)
	found, err := d.catchUpTo(ctx, entries[0].Leaf)
	if found && d.cfg.Changed != nil {
		d.cfg.Changed()
	}
	switch {
	case err != nil && failure == nil:
		return fmt.Errorf("what was recorded cannot be read back: %w", err)
	case failure != nil && found:
		d.cfg.Log.Warn("the ledger has entries that it did not acknowledge", "entries", len(entries), "err", failure)
		return err
	case failure != nil:
		return failure
	case !found:
		return fmt.Errorf("the ledger acknowledged %d entries and does not have them", len(entries))
	}
	return nil
}

func (d *Docket) append(ctx context.Context, entries []ledger.Entry) error {
	defer d.watched("append")()
	_, err := d.clerk.ledger.Append(ctx, entries)
	return err
}

// now is the time of an entry that is recorded now: in a ledger it never runs
// backwards, whatever the clock does.
func (d *Docket) now() time.Time {
	now, c := d.cfg.Now(), &d.clerk
	behind := c.last.Sub(now)
	if behind > maxBehind && !c.warned {
		d.cfg.Log.Warn("the clock is behind the ledger's last entry: until it has caught up all entries get that one's time", "behind", behind)
	}
	c.warned = behind > maxBehind
	if behind > 0 {
		return c.last
	}
	return now
}

func seal(drafts []incident.Draft) ([]ledger.Entry, error) {
	entries := make([]ledger.Entry, len(drafts))
	for i, draft := range drafts {
		leaf, err := draft.Entry.Leaf()
		if err != nil {
			return nil, err
		}
		entries[i] = ledger.Entry{Leaf: leaf, Blobs: draft.Blobs}
	}
	return entries, nil
}

// recordPolicy records the policy in force, once, unless it is the last that was.
func (d *Docket) recordPolicy(ctx context.Context) error {
	// It counts for every tenant, so that every desk knows the one before.
	i := slices.IndexFunc(d.desks, func(k *desk) bool { return k.stopped == "" })
	if d.clerk.loaded || i < 0 {
		return nil
	}
	if before := d.desks[i].state; before.PolicyDigest != d.digest {
		draft := incident.PolicyLoaded(d.about(d.desks[0]), d.cfg.Policy, before.PolicyVersion, before.PolicyDigest)
		if err := d.record(ctx, []incident.Draft{draft}); err != nil {
			return fmt.Errorf("the policy in force cannot be recorded: %w", err)
		}
		if draft.Entry.Metadata["unversioned_change"] == true {
			d.cfg.Log.Warn("the policy has changed and its version has not: give it another version", "version", d.cfg.Policy.Version, "digest", d.digest)
		}
	}
	d.clerk.loaded = true
	return nil
}

// catchUp applies what the ledger has beyond what was applied.
func (d *Docket) catchUp(ctx context.Context) error {
	_, err := d.catchUpTo(ctx, nil)
	return err
}

// catchUpTo is catchUp, and says whether a leaf was among what it applied.
func (d *Docket) catchUpTo(ctx context.Context, leaf []byte) (found bool, err error) {
	c := &d.clerk
	size := c.ledger.Checkpoint().Size
	if size < c.folded {
		return false, fmt.Errorf("the ledger has gone back from %d entries to %d", c.folded, size)
	}
	if size == c.folded {
		return false, nil
	}
	if c.ready {
		// The first reading takes as long as the ledger is long, which is no trouble.
		defer d.watched("read")()
	}
	for r, err := range c.ledger.Entries(c.folded, size) {
		switch {
		case err != nil:
			return found, fmt.Errorf("entry %d of the ledger cannot be read: %w", c.folded, err)
		case r.Index != c.folded:
			return found, fmt.Errorf("the ledger gave entry %d when asked for entry %d", r.Index, c.folded)
		case r.Index%1024 == 0 && ctx.Err() != nil:
			return found, ctx.Err()
		}
		d.apply(r)
		c.folded = r.Index + 1
		found = found || leaf != nil && bytes.Equal(r.Leaf, leaf)
	}
	if c.folded != size {
		return found, fmt.Errorf("the ledger has %d entries and gave %d", size, c.folded)
	}
	return found, nil
}
