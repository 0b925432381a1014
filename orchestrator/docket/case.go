package docket

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Case reads one of Incidents back from the ledger. The error may be
// ErrNotFound, ErrNotReady, or the ledger's.
func (d *Docket) Case(tenant, id string) (incident.Case, error) {
	for _, s := range d.Incidents(tenant) {
		if s.ID != id {
			continue
		}
		l, err := d.open()
		if err != nil {
			return incident.Case{}, err
		}
		return incident.Collect(tenant, id, mentions(l, s))
	}
	return incident.Case{}, unknownIncident(tenant, id)
}

// mentions are the entries from an incident's first to its last that have its
// id. A verdict may come months later, so that anything may be in between.
func mentions(l Ledger, s incident.Summary) iter.Seq2[incident.Indexed, error] {
	return func(yield func(incident.Indexed, error) bool) {
		for r, err := range l.Entries(s.First, s.Last+1) {
			if err == nil && !bytes.Contains(r.Leaf, []byte(s.ID)) {
				continue
			}
			var e incident.Entry
			ours := true
			if err == nil {
				e, ours, err = incident.ParseEntry(r.Leaf)
			}
			if err != nil {
				yield(incident.Indexed{}, fmt.Errorf("the entries of %s cannot be read: %w", s.ID, err))
				return
			}
			if ours && !yield(incident.Indexed{Index: r.Index, Entry: e}, nil) {
				return
			}
		}
	}
}
