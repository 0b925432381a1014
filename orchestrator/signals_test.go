package orchestrator

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// TestSignalsWhileBreached: what the sensor showed is at hand when an incident must
// be open, and costs nothing otherwise.
func TestSignalsWhileBreached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, rec, _ := start(t)
		refused := uint64(0)
		o.cfg.Counters = func() diagnosis.Counters {
			refused += 30
			return diagnosis.Counters{Failures: map[string]uint64{"upstream_refused": refused}}
		}
		show := func(breached bool) []byte {
			time.Sleep(TickInterval)
			rec.Seal(int64(TickInterval) * int64(refused/30+1))
			return o.signals(time.Now(), rec.Snapshot(), rec.SnapshotLast(TickInterval), policy.Decision{Breached: breached})
		}
		record(rec, 1, 40, 20*time.Millisecond, histogram.GatewayError)
		if data := show(false); data != nil {
			t.Errorf("of a service that is well: %s", data)
		}
		var s diagnosis.Signals
		if err := json.Unmarshal(show(true), &s); err != nil {
			t.Fatal(err)
		}
		if len(s.Ticks) != 2 || s.Failures["upstream_refused"] != 60 || s.Usual == nil || s.Recent == nil {
			t.Errorf("%+v", s)
		}
	})
}

// TestSignalsDecideNothing: what goes wrong with them costs a tick nothing else.
func TestSignalsDecideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, rec, _ := start(t)
		o.cfg.Counters = func() diagnosis.Counters { panic("of diagnosis") }
		for i := range 3 {
			record(rec, 1, 40, 20*time.Millisecond, histogram.Success)
			time.Sleep(TickInterval)
			rec.Seal(int64(TickInterval) * int64(i+1))
			if err := o.tick(); err != nil {
				t.Fatal(err)
			}
		}
		if n := o.Document().Metrics.SampleSize; n != 120 {
			t.Errorf("the document has %d samples", n)
		}
	})
}
