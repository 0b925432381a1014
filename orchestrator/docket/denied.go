package docket

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

const (
	// denialInterval is the least time between two entries of one kind of denial.
	denialInterval = time.Minute
	// maxDenials bounds how many kinds of denials are told apart: what is
	// claimed by those who are denied is theirs to choose.
	maxDenials = 1024
	// maxStrangers bounds those that claim to be for a tenant that there is not:
	// whoever invents names is not to fill the ledger with them.
	maxStrangers = 8
	// denialBatch is how many entries of them go into one call of the ledger.
	denialBatch = 64
	// longestClaim bounds what others chose to say, in bytes.
	longestClaim = 128
)

// A denial is access refused, told apart by tenant, what was asked for, and the
// HTTP status that it was refused with.
type denial struct {
	tenant, what string
	status       int  // 0 for what is not told apart
	stranger     bool // there is no such tenant
}

// othersDenied is where denials go once there are too many kinds of them.
var othersDenied = denial{what: "further denials, of too many kinds to be told apart", stranger: true}

// A tally counts the denials of a kind.
type tally struct {
	last     int // status
	count    int // since the last entry
	recorded time.Time
}

// denials are counted by anybody and recorded by Run. Safe for concurrent use.
type denials struct {
	mu        sync.Mutex
	tallies   map[denial]*tally
	strangers int // of tallies, those of no tenant
}

// add counts one. It returns true when it is the first that is to be recorded,
// so that Run must be woken.
func (d *denials) add(tenant, what string, stranger bool, status int) bool {
	key := denial{tenant: cut(tenant), what: cut(what), status: status, stranger: stranger}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.tallies[key]
	if t == nil && (len(d.tallies) >= maxDenials-1 || stranger && d.strangers >= maxStrangers-1) {
		key = othersDenied
		t = d.tallies[key]
	}
	if t == nil {
		t = &tally{}
		if d.tallies == nil {
			d.tallies = map[denial]*tally{}
		}
		d.tallies[key] = t
		if key.stranger {
			d.strangers++
		}
	}
	t.last, t.count = status, t.count+1
	return t.count == 1
}

// A dueDenial is what an entry is to be made of.
type dueDenial struct {
	denial
	tally
}

// due returns what is to be recorded now, of all that was counted when last is
// set, and forgets what was not seen for an interval.
func (d *denials) due(now time.Time, last bool) []dueDenial {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []dueDenial
	for key, t := range d.tallies {
		// A clock that was put back must not silence them.
		rested := t.recorded.IsZero() || now.Sub(t.recorded) >= denialInterval || now.Before(t.recorded)
		switch {
		case t.count > 0 && (rested || last):
			list = append(list, dueDenial{key, *t})
		case t.count == 0 && rested:
			delete(d.tallies, key)
			if key.stranger {
				d.strangers--
			}
		}
	}
	slices.SortFunc(list, func(a, b dueDenial) int {
		return cmp.Or(cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.what, b.what), cmp.Compare(a.status, b.status))
	})
	return list
}

// recorded takes off what has become entries.
func (d *denials) recorded(list []dueDenial, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range list {
		if t := d.tallies[r.denial]; t != nil {
			t.count -= r.count
			t.recorded = now
		}
	}
}

// cut bounds a text of others, and what is kept in memory for it.
func cut(text string) string {
	if len(text) > longestClaim {
		text = strings.Clone(text[:longestClaim])
	}
	return strings.ToValidUTF8(text, "")
}

// recordDenials records the denials that are due, last all that there are. A
// claimed tenant that is none of ours is in the entry, which is then the own
// service's. What cannot be recorded now stays counted.
func (d *Docket) recordDenials(ctx context.Context, last bool) {
	now := d.cfg.Now()
	due := d.denials.due(now, last)
	if len(due) == 0 || len(d.desks) == 0 {
		return
	}
	err := d.prepare(ctx)
	for batch := range slices.Chunk(due, denialBatch) {
		if err != nil {
			break
		}
		drafts := make([]incident.Draft, len(batch))
		for i, r := range batch {
			k := d.desk(r.tenant)
			if k == nil {
				k = d.desks[0]
			}
			drafts[i] = incident.Denied(d.about(k), r.what, r.last, r.count, r.tenant)
		}
		if err = d.record(ctx, drafts); err == nil {
			d.denials.recorded(batch, now)
		}
	}
	if err != nil {
		d.cfg.Log.Warn("denied access cannot be recorded now; it stays counted", "kinds", len(due), "err", err)
	}
	d.publish()
}
