package docket

import (
	"context"
	"fmt"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

// Read implements [outbox.Ledger]. The error may be ErrNotReady, that of ctx or of
// visit, or the ledger's.
func (d *Docket) Read(ctx context.Context, from uint64, visit func(incident.Indexed) error) (next uint64, err error) {
	l, err := d.open()
	if err != nil {
		return from, err
	}
	size := l.Checkpoint().Size
	for r, err := range l.Entries(min(from, size), size) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return from, fmt.Errorf("the ledger cannot be read: %w", err)
		}
		e, ours, err := incident.ParseEntry(r.Leaf)
		if err != nil {
			return from, fmt.Errorf("entry %d of the ledger: %w", r.Index, err)
		}
		if !ours {
			continue
		}
		if err := visit(incident.Indexed{Index: r.Index, Entry: e}); err != nil {
			return from, err
		}
	}
	return size, nil
}

// Record implements [outbox.Receipts]. Errors are those of SetShadow; a receipt of
// what was never due is ErrInvalid.
func (d *Docket) Record(ctx context.Context, r outbox.Receipt) error {
	metadata, err := r.Metadata()
	if err != nil {
		return err
	}
	// What was due to a tenant that is not configured any more has an end, too.
	k, stranger := d.desk(r.Tenant), false
	if k == nil && len(d.desks) > 0 {
		k, stranger = d.desks[0], true
	}
	_, err = d.place(&order{ctx: ctx, desk: k, draft: func(k *desk) ([]incident.Draft, error) {
		about := d.about(k)
		if stranger {
			about.Tenant, about.Service = r.Tenant, r.Service
		}
		return []incident.Draft{incident.Receipt(about, r.Incident, r.Actor(), string(r.Outcome), r.Reason, metadata)}, nil
	}}, r.Tenant)
	return err
}

var (
	_ outbox.Ledger   = (*Docket)(nil)
	_ outbox.Receipts = (*Docket)(nil)
)
