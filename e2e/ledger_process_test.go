//go:build slow

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLedgerHasOneProcess lets others try to open a ledger that one has open,
// while that is at work and while it is stopped.
func TestLedgerHasOneProcess(t *testing.T) {
	h := newLedgerHistory(t, filepath.Join(t.TempDir(), "data"))
	first := h.mustOpen()
	first.command("load")
	h.acks(first, 100)
	for _, stop := range []bool{false, true, true} {
		if stop {
			pause(t, first)
		}
		for _, flag := range []string{"-workers=1", "-rotate"} {
			said := h.start(flag).refused(t)
			if !strings.Contains(said, "in use by another process") || !strings.Contains(said, h.dir) {
				t.Errorf("with %s the second process says: %s", flag, said)
			}
		}
		if stop {
			resume(t, first)
		}
		h.acks(first, 100)
	}

	pause(t, first)
	h.end(first) // killed without having woken up
}

// TestLedgerIsBegunByOneProcess lets several processes begin the same ledger at
// once: one of them does.
func TestLedgerIsBegunByOneProcess(t *testing.T) {
	const rounds, processes = 10, 4
	for range rounds {
		h := newLedgerHistory(t, filepath.Join(t.TempDir(), "data"))
		var all [processes]*ledgerWriter
		for i := range all {
			all[i] = h.start()
		}
		var winners []*ledgerWriter
		for _, w := range all {
			if h.opened(w) {
				winners = append(winners, w)
				continue
			}
			if said := w.refused(t); !strings.Contains(said, "in use by another process") {
				t.Errorf("one of those that came too late says: %s", said)
			}
		}
		if len(winners) != 1 || len(h.hashes) != 1 {
			t.Fatalf("%d of %d processes have the ledger open, with %d entries", len(winners), processes, len(h.hashes))
		}
		winners[0].close(t, h.see)
	}
}

// pause stops a writer in the middle of whatever it does.
func pause(t *testing.T, w *ledgerWriter) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
}

func resume(t *testing.T, w *ledgerWriter) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// TestLedgerSurvivesStops stops and wakes a writer many times.
func TestLedgerSurvivesStops(t *testing.T) {
	h := newLedgerHistory(t, filepath.Join(t.TempDir(), "data"))
	w := h.mustOpen("-workers", "32")
	w.command("load")
	for range 50 {
		h.acks(w, 20)
		pause(t, w)
		resume(t, w)
	}
	w.close(t, h.see)
	h.mustOpen().close(t, h.see)
}

// TestLedgerIgnoresTheClock lets the clock go back by an hour at every look.
func TestLedgerIgnoresTheClock(t *testing.T) {
	h := newLedgerHistory(t, filepath.Join(t.TempDir(), "data"))
	bundle := filepath.Join(t.TempDir(), "bundle")
	for i := range 3 {
		w := h.mustOpen("-backwards", "-name", fmt.Sprint(i))
		w.command("load")
		h.acks(w, 100)
		w.close(t, h.see)
		h.mustOpen("-backwards").close(t, h.see)
		h.rotating = true
		w = h.start("-backwards", "-rotate")
		h.rotated = w.until(t, "rotated", h.see).rest
		w.drain(h.see)
		w.wait()
	}
	w := h.mustOpen("-backwards")
	w.command("export " + bundle)
	w.until(t, "exported", h.see)
	h.mustVerify(bundle)
	w.close(t, h.see)
	if len(h.keys) != 4 {
		t.Errorf("the log had %d keys", len(h.keys))
	}
}
