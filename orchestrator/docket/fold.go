package docket

import (
	"errors"
	"fmt"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// apply applies an entry of the ledger to the state of the tenant whose it is.
// One that cannot be understood stops that tenant's decisions: state that is
// not what the ledger says must not decide.
func (d *Docket) apply(r ledger.Record) {
	h, err := headingOf(r.Leaf)
	if err != nil {
		d.stopAll(r.Index, err)
		return
	}
	if h.time.After(d.clerk.last) {
		d.clerk.last = h.time
	}
	switch {
	case !h.ours() || h.kind == incident.KindAccessDenied:
		// It changes nothing.
	case h.kind == incident.KindPolicyLoaded:
		for _, k := range d.desks {
			d.applyTo(k, r)
		}
	case h.tenant == "":
		d.stopAll(r.Index, errors.New("it names no tenant"))
	default:
		// A tenant that is not configured any more has no desk.
		if k := d.desk(h.tenant); k != nil {
			d.applyTo(k, r)
		}
	}
}

func (d *Docket) applyTo(k *desk, r ledger.Record) {
	if k.stopped != "" {
		return
	}
	d.contain(k, "applying the next", func() {
		entry, ours, err := incident.ParseEntry(r.Leaf)
		if err == nil && ours {
			err = k.apply(r.Index, entry)
		}
		switch {
		case err != nil:
			k.stop(refused(r.Index, err))
		case ours && d.clerk.ready:
			d.announce(r.Index, entry)
		}
	})
}

// stopAll stops everybody's decisions, over an entry that could be anybody's.
func (d *Docket) stopAll(index uint64, err error) {
	for _, k := range d.desks {
		if k.stopped == "" {
			k.stop(refused(index, err))
		}
	}
}

func refused(index uint64, err error) string {
	return fmt.Sprintf("entry %d of the ledger is refused, and nothing is decided without it: it was made by a newer version, or not by Countersign: %v", index, err)
}
