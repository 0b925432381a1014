package docket

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// BenchmarkFold folds a ledger of a million entries, of which one in so many is
// of an incident, and reports the memory that stays in use.
func BenchmarkFold(b *testing.B) {
	for _, share := range []int{10, 100} {
		b.Run(fmt.Sprintf("one_in_%d", share), func(b *testing.B) {
			l := newEndless(b, 1_000_000, share)
			cfg := settings()
			cfg.Log = slog.New(slog.DiscardHandler)
			for b.Loop() {
				d := New(cfg)
				d.clerk.ledger = l
				if err := d.catchUp(context.Background()); err != nil || d.desks[0].stopped != "" {
					b.Fatal(err, d.desks[0].stopped)
				}
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				runtime.KeepAlive(d)
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "MiB")
			}
		})
	}
}

// endless is a ledger of one incident's entries over and over, each time with
// another id.
type endless struct {
	*paper
	size  uint64
	share int
	life  [][]byte
	id    []byte // as it is in life
}

func newEndless(tb testing.TB, size uint64, share int) *endless {
	cfg := settings()
	cfg.Log = slog.New(slog.DiscardHandler)
	at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	cfg.Now = func() time.Time { return at }
	d, l := New(cfg), newPaper()
	d.clerk.ledger = l
	for _, o := range []incident.Observation{breached("payments"), breached("payments"), breached("payments"), calm("payments")} {
		d.Submit(o)
		d.observeAll(tb.Context())
		at = at.Add(10 * time.Minute)
	}
	e := &endless{paper: l, size: size, share: share, life: l.leaves[2:]}
	e.id = []byte(d.desks[0].records[0].ID)
	return e
}

// idOf is the id of an incident, counted from 0.
func (e *endless) idOf(n int) string { return fmt.Sprintf("inc-000000-%d", 946684800+n) }

func (e *endless) Checkpoint() ledger.Checkpoint { return ledger.Checkpoint{Size: e.size} }

func (e *endless) Entries(from, to uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		other := []byte(`{"v":1,"kind":"sidecar.started","time":"2000-01-01T00:00:00Z","service":"payments-api","instance":"pod-1","actor":"system"}`)
		for i := from; i < to; i++ {
			leaf := other
			if n := int(i) / e.share; int(i)%e.share == 0 {
				leaf = bytes.ReplaceAll(e.life[n%len(e.life)], e.id, []byte(e.idOf(n/len(e.life))))
			}
			if !yield(ledger.Record{Index: i, Leaf: bytes.Clone(leaf)}, nil) {
				return
			}
		}
	}
}
