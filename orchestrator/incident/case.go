package incident

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// ErrNoIncident says that the ledger has no incident of that id.
var ErrNoIncident = errors.New("the ledger has no such incident")

// maxCaseEntries is how many entries of one incident are kept together.
const maxCaseEntries = 10_000

// Case is one incident, rebuilt from the entries of the ledger that belong to it.
type Case struct {
	Summary
	// Entries are all of them, in the order of the ledger; the first is the
	// detection. Left counts those beyond the first 10,000.
	Entries []Indexed `json:"entries"`
	Left    int       `json:"entries_left_out,omitempty"`
}

// NewCase makes the case of the entries of one incident, in the order of the
// ledger; entries of others are left out. It wraps [ErrNoIncident] when the
// first is no detection.
func NewCase(entries []Indexed) (Case, error) {
	if len(entries) == 0 {
		return Case{}, ErrNoIncident
	}
	first := entries[0].Entry
	return Collect(first.TenantID, first.IncidentID, func(yield func(Indexed, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	})
}

// Collect finds the entries of an incident among those of a ledger, read in
// order. Any tenant will do when none is named. The error is that of reading, or wraps
// [ErrNoIncident].
func Collect(tenant, incident string, entries iter.Seq2[Indexed, error]) (Case, error) {
	var c Case
	for e, err := range entries {
		if err != nil {
			return Case{}, err
		}
		if e.Entry.IncidentID != incident || tenant != "" && e.Entry.TenantID != tenant {
			continue
		}
		if c.ID == "" {
			s, ok := Summarize(e.Index, e.Entry)
			if !ok {
				return Case{}, fmt.Errorf("%w: entry %d speaks of %s before its detection", ErrNoIncident, e.Index, incident)
			}
			c.Summary = s
		} else if e.Entry.TenantID != c.Tenant {
			continue
		}
		c.Follow(e.Index, e.Entry)
		if len(c.Entries) == maxCaseEntries {
			c.Left++
			continue
		}
		c.Entries = append(c.Entries, e)
	}
	if c.ID == "" {
		return Case{}, fmt.Errorf("%w: %s", ErrNoIncident, clean(incident, maxName))
	}
	return c, nil
}

// Timeline is what happened: all entries but the effects.
func (c Case) Timeline() []Indexed {
	return c.sift(func(e Entry) bool { return !strings.HasPrefix(e.Kind, "effect.") })
}

// Effects are what was said and done because of it, or would have been.
func (c Case) Effects() []Indexed {
	return c.sift(func(e Entry) bool { return strings.HasPrefix(e.Kind, "effect.") })
}

func (c Case) sift(take func(Entry) bool) []Indexed {
	var out []Indexed
	for _, e := range c.Entries {
		if take(e.Entry) {
			out = append(out, e)
		}
	}
	return out
}

// Mark is the last verdict of a person, false when there is none.
func (c Case) Mark() (Indexed, bool) {
	for i := len(c.Entries) - 1; i >= 0; i-- {
		if c.Entries[i].Entry.Kind == KindMarked {
			return c.Entries[i], true
		}
	}
	return Indexed{}, false
}
