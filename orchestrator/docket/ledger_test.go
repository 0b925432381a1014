package docket

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// onDisk is a docket on a ledger as it is in use.
type onDisk struct {
	*Docket
	t   *testing.T
	log *ledger.Log
	end func()
}

func openOnDisk(t *testing.T, dir string, now func() time.Time) *onDisk {
	t.Helper()
	return openWith(t, dir, now, settings())
}

func openWith(t *testing.T, dir string, now func() time.Time, cfg Config) *onDisk {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	log, err := ledger.Open(t.Context(), ledger.Options{Dir: dir, Origin: "countersign/payments", MinFree: 1, Log: quiet, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Now, cfg.Log = now, quiet
	s := &onDisk{Docket: New(cfg), t: t, log: log}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, log) }()
	s.end = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
	s.await("it is ready", func(v View) bool { return v.Ready })
	return s
}

// await waits until the view of payments is as it has to be.
func (s *onDisk) await(what string, is func(View) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if v, _ := s.View("payments"); is(v) {
			return
		}
	}
	v, _ := s.View("payments")
	s.t.Fatalf("waited in vain until %s: the view is %+v", what, v)
}

func stageIs(stage incident.Stage) func(View) bool {
	return func(v View) bool { return v.Open != nil && v.Open.Stage == stage && v.Incident.Stage == string(stage) }
}

func TestOnALedgerOnDisk(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }

	s := openOnDisk(t, dir, now)
	s.Submit(breached("payments"))
	s.await("an incident is open", stageIs(incident.Detected))
	if changed, err := s.SetShadow(t.Context(), "payments", false, "ana", "the month is over"); err != nil || !changed {
		t.Fatal(changed, err)
	}
	v, _ := s.View("payments")
	id := v.Open.ID
	s.end()

	s = openOnDisk(t, dir, now)
	v, _ = s.View("payments")
	if v.Shadow || !stageIs(incident.Detected)(v) || v.Open.ID != id {
		t.Errorf("after a restart the view is %+v", v)
	}
	s.Submit(breached("payments"))
	s.await("it is proposed", stageIs(incident.Proposed))
	s.end()

	s = openOnDisk(t, dir, func() time.Time { return at.Add(10 * time.Minute) })
	s.Submit(breached("payments"))
	s.await("it is validated", stageIs(incident.Validated))
	if err := s.Mark(t.Context(), "payments", id, incident.Confirmed, "", "ana", ""); err != nil {
		t.Error(err)
	}
	s.Submit(calm("payments"))
	s.await("it is over", func(v View) bool { return v.Open == nil })
	c, err := s.Case("payments", id)
	if err != nil || c.Stage != incident.Recovered || c.Verdict != incident.Confirmed {
		t.Errorf("the case is %+v, %v", c.Summary, err)
	}
	for _, e := range c.Entries {
		for _, ev := range e.Entry.Evidence {
			sum, err := hex.DecodeString(ev.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if blob, err := s.Blob([32]byte(sum)); err != nil || len(blob) != ev.Len {
				t.Errorf("entry %d: evidence %s has %d bytes, %v", e.Index, ev.Name, len(blob), err)
			}
		}
	}
	if _, err := s.Blob([32]byte{1}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a blob that is not there: %v", err)
	}
	proper(t, s.log)
	want := "policy.loaded incident.detected effect.suppressed/incident shadow.off incident.proposed " +
		"incident.validated effect.due/validated incident.marked incident.recovered effect.due/recovered"
	if got := kinds(entriesOf(t, s.log)); got != want {
		t.Errorf("the ledger has\n%s, want\n%s", got, want)
	}
	s.end()
}

// A ledger that is closed under a running docket is trouble to show, not to die of.
func TestLedgerClosedMeanwhile(t *testing.T) {
	s := openOnDisk(t, t.TempDir(), time.Now)
	if err := s.log.Close(); err != nil {
		t.Fatal(err)
	}
	s.Submit(breached("payments"))
	s.await("there is a problem", func(v View) bool { return v.Problem != "" && v.Open == nil })
	if _, err := s.SetShadow(t.Context(), "payments", false, "ana", ""); !errors.Is(err, ledger.ErrClosed) {
		t.Errorf("SetShadow says %v", err)
	}
	s.end()
}
