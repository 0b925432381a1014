package docket

import (
	"fmt"
	"sync/atomic"
	"time"
)

// patience is how long the ledger may take before that is a problem to show.
const patience = 5 * time.Second

// An errand is one call of the ledger that is under way.
type errand struct {
	late atomic.Bool
}

// watched notes that the ledger is being called, so that a View can tell when
// it does not answer, and returns what ends that.
func (d *Docket) watched(call string) (answered func()) {
	e := &errand{}
	d.errand.Store(e)
	timer := time.AfterFunc(patience, func() {
		e.late.Store(true)
		d.cfg.Log.Error("the ledger does not answer; nothing is decided until it does, traffic goes on", "call", call, "for", patience)
	})
	return func() {
		timer.Stop()
		d.errand.Store(nil)
		if e.late.Load() {
			d.cfg.Log.Info("the ledger answers again", "call", call)
		}
	}
}

// stalled says that the ledger has not answered for too long, or nothing.
func (d *Docket) stalled() string {
	if e := d.errand.Load(); e != nil && e.late.Load() {
		return fmt.Sprintf("the ledger has not answered for more than %s: nothing is decided until it does", patience)
	}
	return ""
}
