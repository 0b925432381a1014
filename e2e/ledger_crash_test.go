//go:build slow

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// ledgerSeed decides all that is random here, but for how far a process gets
// until it is killed.
const ledgerSeed = 20260301

// killing is one ledger whose processes are killed again and again.
type killing struct {
	*ledgerHistory
	random *rand.Rand
	bundle string
	// What the last processes took that were not disturbed: the moments of
	// killing are spread over that.
	toOpen, toClose, toRotate time.Duration
	killed                    map[string]int // kills by what they interrupted
	ahead                     int            // openings of a store that was ahead of its anchor
}

func newKilling(t *testing.T, stream uint64) *killing {
	return &killing{
		ledgerHistory: newLedgerHistory(t, filepath.Join(t.TempDir(), "data")),
		random:        rand.New(rand.NewPCG(ledgerSeed, stream)),
		bundle:        filepath.Join(t.TempDir(), "bundle"),
		toOpen:        50 * time.Millisecond, toClose: 50 * time.Millisecond, toRotate: 100 * time.Millisecond,
		killed: map[string]int{},
	}
}

// end opens the ledger a last time.
func (k *killing) end() {
	k.open().close(k.t, k.see)
	k.t.Logf("killed: %v; %d entries under %d keys; %d stores were ahead of their anchor; of %d unacknowledged keys %d were in the log; opening takes %v, closing %v, a rotation %v",
		k.killed, len(k.hashes), len(k.keys), k.ahead, k.unsure, k.unsureFound, k.toOpen, k.toClose, k.toRotate)
}

// TestLedgerSurvivesKill kills the process that keeps a ledger at 200 random
// moments: while it appends, while it opens and closes the log, exports it and
// gives it another key. Nothing that was acknowledged may be lost or changed.
func TestLedgerSurvivesKill(t *testing.T) {
	t.Parallel()
	const rounds = 200
	k := newKilling(t, 0)
	for round := range rounds {
		switch n := k.random.IntN(100); {
		case round > 0 && n < 10:
			k.killOpening()
		case round > 0 && n < 18:
			k.killRotation()
		default:
			k.killLoad(round)
		}
		if t.Failed() {
			t.Fatalf("in round %d of seed %d", round, ledgerSeed)
		}
	}
	k.end()
}

// TestLedgerSurvivesKillBetweenFiles appends so much in so short a time that
// the store begins and removes files all the time.
func TestLedgerSurvivesKillBetweenFiles(t *testing.T) {
	t.Parallel()
	const ledgers, rounds = 5, 10
	for ledger := range uint64(ledgers) {
		k := newKilling(t, 1+ledger)
		for round := range rounds {
			if round > 0 && k.random.IntN(4) == 0 {
				k.killOpening()
				continue
			}
			w := k.open("-bulk", "-seed", fmt.Sprint(round))
			w.command("load")
			k.acks(w, k.random.IntN(50))
			spin(k.moment(50 * time.Millisecond))
			k.strike(w, "load", k.see)
		}
		k.end()
	}
}

// moment is a random part of a duration, or a little longer.
func (k *killing) moment(whole time.Duration) time.Duration {
	return time.Duration(k.random.Float64() * 1.1 * float64(whole))
}

// spin waits without giving the processor away: a timer is too coarse.
func spin(d time.Duration) {
	for begun := time.Now(); time.Since(begun) < d; {
	}
}

// strike kills a writer, reads what it has said before, and looks at the anchor.
func (k *killing) strike(w *ledgerWriter, during string, see func(ledgerLine)) {
	w.kill()
	w.drain(see)
	if state := w.wait(); state.ExitCode() > 0 {
		k.t.Fatalf("the writer ended by itself during %s, %v:\n%s", during, state, tail(w.stderr.String()))
	}
	k.killed[during]++
	k.mustBeAnchored()
}

func (k *killing) killOpening() {
	w := k.start()
	time.Sleep(k.moment(k.toOpen))
	k.strike(w, "opening", func(ledgerLine) {})
}

// killRotation kills either at any moment, or when the new key is there.
func (k *killing) killRotation() {
	k.open().close(k.t, k.see) // so that all is known that the old key signed
	k.rotating = true
	w := k.start("-rotate")
	if k.random.IntN(2) == 0 {
		time.Sleep(k.moment(k.toRotate))
	} else {
		k.awaitNextKey(w)
		spin(k.moment(5 * time.Millisecond))
	}
	k.strike(w, "rotation", func(l ledgerLine) {
		if l.kind == "rotated" {
			k.rotated, k.toRotate = l.rest, time.Since(w.started)
		}
	})
}

// awaitNextKey waits until a rotation has written its key, or put it in place.
func (k *killing) awaitNextKey(w *ledgerWriter) {
	before, err := os.Stat(filepath.Join(k.dir, "ledger.key"))
	if err != nil {
		k.t.Fatal(err)
	}
	for begun := time.Now(); time.Since(begun) < patience; {
		_, err := os.Stat(filepath.Join(k.dir, "ledger.key.next"))
		now, _ := os.Stat(filepath.Join(k.dir, "ledger.key"))
		if err == nil || now != nil && !os.SameFile(before, now) {
			return
		}
	}
	w.kill()
	w.ended(k.t, "writing another key")
}

// open opens the ledger and compares it with all that was promised.
func (k *killing) open(flags ...string) *ledgerWriter {
	k.t.Helper()
	anchored := k.anchored()
	w := k.start(flags...)
	if !k.opened(w) {
		w.ended(k.t, "opening the ledger")
	}
	k.toOpen = time.Since(w.started)
	if uint64(len(k.hashes)) > anchored {
		k.ahead++
	}
	if _, err := os.Lstat(filepath.Join(k.dir, "ledger.key.next")); err == nil {
		k.t.Error("the ledger is open, and the next key is still there")
	}
	return w
}

// killLoad opens the ledger, lets keys of the process before be used again,
// appends, and kills.
func (k *killing) killLoad(round int) {
	k.t.Helper()
	tried := k.tried
	w := k.open("-workers", fmt.Sprint(16+k.random.IntN(49)), "-seed", fmt.Sprint(ledgerSeed+round), "-name", fmt.Sprint(round))
	k.repeat(w, tried)
	verified := round%20 == 19
	if verified {
		w.command("export " + k.bundle)
		w.until(k.t, "exported", k.see)
	}
	w.command("load")
	if verified {
		k.mustVerify(k.bundle)
	}
	during := "load"
	if round%20 == 9 {
		during = "export"
		w.command("export " + k.bundle)
	}
	k.acks(w, k.random.IntN(400))
	if k.random.IntN(10) == 0 {
		during = "closing"
		k.killClosing(w)
	} else {
		spin(k.moment(5 * time.Millisecond))
	}
	k.strike(w, during, k.see)
}

// killClosing lets a writer close the log, and kills it before it has or just after.
func (k *killing) killClosing(w *ledgerWriter) {
	begun, after := time.Now(), k.moment(k.toClose)
	w.command("close")
	timer := time.AfterFunc(after, w.kill)
	defer timer.Stop()
	k.toClose += k.toClose / 5
	w.drain(func(l ledgerLine) {
		k.see(l)
		if l.kind == "closed" {
			k.toClose = time.Since(begun)
		}
	})
}

// TestLedgerSurvivesKillDuringCreation kills first starts. What comes next is
// the same ledger, if it had got as far as to be one.
func TestLedgerSurvivesKillDuringCreation(t *testing.T) {
	t.Parallel()
	const ledgers = 60
	random := rand.New(rand.NewPCG(ledgerSeed, 10))
	whole := 50 * time.Millisecond
	kills, made := 0, 0
	for range ledgers {
		h := newLedgerHistory(t, filepath.Join(t.TempDir(), "data"))
		for range 1 + random.IntN(4) {
			w := h.start()
			time.Sleep(time.Duration(random.Float64() * 1.1 * float64(whole)))
			w.kill()
			if h.opened(w) {
				made++
			}
			w.drain(h.see)
			if state := w.wait(); state.ExitCode() > 0 {
				t.Fatalf("the writer ended by itself, %v:\n%s", state, w.stderr.String())
			}
			kills++
		}
		w := h.start()
		if !h.opened(w) {
			w.ended(t, "opening the ledger")
		}
		if len(h.hashes) != 1 {
			t.Errorf("a new ledger has %d entries", len(h.hashes))
		}
		whole = time.Since(w.started)
		w.close(t, h.see)
	}
	t.Logf("%d first starts were killed within %v, %d of them after they were done", kills, whole, made)
}
