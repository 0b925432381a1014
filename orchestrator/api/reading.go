package api

import (
	"net/http"
	"time"
)

// turns let one caller at a time read the ledger at length, and hold for each
// tenant one such answer in memory. The map is not written to after newTurns.
type turns struct {
	ledger  chan struct{}
	answers map[string]chan struct{}
}

func newTurns(tenants []Tenant) turns {
	t := turns{ledger: make(chan struct{}, 1), answers: map[string]chan struct{}{}}
	for _, tenant := range tenants {
		t.answers[tenant.ID] = make(chan struct{}, 1)
	}
	return t
}

// readLedger waits for the turn of a request to read the ledger at length, has
// read do so, and then sends its answer or refuses with its error. Whoever is
// slow to take an answer holds up requests of the same tenant, and of no other.
func (h *handler) readLedger(w http.ResponseWriter, r *http.Request, tenant string, read func() (answer func(), err error)) {
	patience := time.NewTimer(orderTimeout)
	defer patience.Stop()
	if !h.begin(w, r, h.turns.answers[tenant], patience) {
		return
	}
	defer func() { <-h.turns.answers[tenant] }()
	if !h.begin(w, r, h.turns.ledger, patience) {
		return
	}
	answer, err := func() (func(), error) {
		defer func() { <-h.turns.ledger }()
		return read()
	}()
	if err != nil {
		refuseOrder(w, err)
		return
	}
	answer()
}

// begin waits for a turn, or answers the request.
func (h *handler) begin(w http.ResponseWriter, r *http.Request, turn chan struct{}, patience *time.Timer) bool {
	select {
	case turn <- struct{}{}:
		return true
	case <-r.Context().Done():
	case <-patience.C:
	}
	w.Header().Set("Retry-After", "10")
	refuse(w, http.StatusServiceUnavailable, "the ledger is being read for others: try again")
	return false
}
