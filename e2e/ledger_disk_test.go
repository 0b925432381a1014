//go:build slow

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// ledgerOn makes the history of a ledger on a volume.
func ledgerOn(t *testing.T, v *volume) *ledgerHistory {
	return newLedgerHistory(t, filepath.Join(v.dir, "data"))
}

// TestLedgerWaitsForSpace appends until the disk is as full as it may be. The
// log says so, keeps what it has, and goes on when there is space again.
func TestLedgerWaitsForSpace(t *testing.T) {
	v := newVolume(t, 256*mib)
	h := ledgerOn(t, v)
	v.leave("ballast", 120*mib)
	w := h.mustOpen("-workers", "16", "-bulk")
	w.command("load")
	full := w.until(t, "nospace", h.see)
	if !strings.Contains(full.rest, "too little free disk space") || !strings.Contains(full.rest, h.dir) {
		t.Errorf("the error of a full disk is %q", full.rest)
	}
	if len(h.acked) < 20 {
		t.Errorf("only %d entries were taken", len(h.acked))
	}
	if free := v.free(); free < 32*mib {
		t.Errorf("a log that was to leave 64 MiB has left %d bytes", free)
	}
	v.leave("rest", 8*mib) // the store's own tidying may free some
	w.command("once while-full")
	if refused := w.until(t, "failed", h.see); !strings.Contains(refused.rest, "too little free disk space") {
		t.Errorf("while the disk is full an append says %q", refused.rest)
	}
	v.give("ballast")
	v.give("rest")
	w.command("retry")
	h.acks(w, 50)
	h.end(w)
}

// TestLedgerWithFullAnchor fills the file system of the anchor, then that of
// the store. Nothing is appended while one of them is full.
func TestLedgerWithFullAnchor(t *testing.T) {
	store, anchor := newVolume(t, 128*mib), newVolume(t, 128*mib)
	h := ledgerOn(t, store)
	h.anchor = filepath.Join(anchor.dir, "anchor")
	w := h.mustOpen("-workers", "4")
	w.command("load")
	h.acks(w, 50)
	for _, full := range []*volume{anchor, store, anchor} {
		full.leave("ballast", 8*mib)
		if refused := w.until(t, "nospace", h.see); !strings.Contains(refused.rest, full.dir) {
			t.Errorf("while the disk of %s is full an append says %q", full.dir, refused.rest)
		}
		full.give("ballast")
		w.command("retry")
		h.acks(w, 50)
	}
	h.end(w)
}

// TestLedgerWithBrokenAnchor takes the anchor away in the middle of the work:
// nothing is acknowledged that is not in it, and the log says that it failed.
func TestLedgerWithBrokenAnchor(t *testing.T) {
	anchor := newVolume(t, 128*mib)
	h := newLedgerHistory(t, filepath.Join(t.TempDir(), "data"))
	h.anchor = filepath.Join(anchor.dir, "anchor")
	w := h.mustOpen("-workers", "4")
	w.command("load")
	h.acks(w, 50)
	anchor.turnReadOnly()
	h.mustFail(w, anchor.dir)
	w.close(t, h.see)
	anchor.remount()
	h.mustOpen().close(t, h.see)
}

// mustFail waits until a writer's log has failed, and makes sure that it says
// why and stays so.
func (h *ledgerHistory) mustFail(w *ledgerWriter, cause string) {
	h.t.Helper()
	failed := w.until(h.t, "failed", h.see)
	if !strings.Contains(failed.rest, "restart to have it checked") || !strings.Contains(failed.rest, cause) {
		h.t.Errorf("the log fails with %q", failed.rest)
	}
	w.command("once after-failure")
	for again := (ledgerLine{}); !strings.HasPrefix(again.rest, "once after-failure: the ledger has stopped"); {
		again = w.until(h.t, "failed", h.see)
	}
}

// TestLedgerOnDiskThatTurnsReadOnly lets the kernel refuse all writes, as it
// does when a disk fails.
func TestLedgerOnDiskThatTurnsReadOnly(t *testing.T) {
	v := newVolume(t, 192*mib)
	h := ledgerOn(t, v)
	for i := range 3 {
		w := h.mustOpen("-workers", "16", "-name", fmt.Sprint(i), "-seed", fmt.Sprint(i))
		w.command("load")
		h.acks(w, 200)
		v.turnReadOnly()
		h.mustFail(w, "writing ")
		w.kill()
		w.drain(h.see)
		w.wait()
		v.remount()
		h.mustBeAnchored()
	}
	h.mustOpen().close(t, h.see)
}

// TestLedgerSurvivesPowerCut loses, again and again, whatever was not written
// through to the disk. What was acknowledged was.
func TestLedgerSurvivesPowerCut(t *testing.T) {
	t.Run("one disk", func(t *testing.T) {
		v := newVolume(t, 384*mib)
		cutPowerOften(t, ledgerOn(t, v), v)
	})
	t.Run("anchor on another", func(t *testing.T) {
		store, anchor := newVolume(t, 384*mib), newVolume(t, 128*mib)
		h := ledgerOn(t, store)
		h.anchor = filepath.Join(anchor.dir, "anchor")
		cutPowerOften(t, h, store, anchor)
	})
}

// cutPowerOften cuts off the volumes of a ledger, in any order.
func cutPowerOften(t *testing.T, h *ledgerHistory, volumes ...*volume) {
	const rounds = 20
	random := rand.New(rand.NewPCG(ledgerSeed, 11))
	for round := range rounds {
		flags := []string{"-workers", fmt.Sprint(1 + random.IntN(32)), "-seed", fmt.Sprint(round), "-name", fmt.Sprint(round)}
		if round%2 == 0 { // brings new tables and logs of Badger's
			flags = append(flags, "-bulk")
		}
		w := h.mustOpen(flags...)
		w.command("load")
		h.acks(w, 1+random.IntN(60))
		spin(time.Duration(random.Int64N(int64(10 * time.Millisecond))))
		if len(volumes) > 1 {
			// The power of all goes at once, but they are cut off one by one. An fsync in
			// between may be told that it succeeded, and what it lost must not be anchored
			// on the other then.
			w.stop()
		}
		for _, i := range random.Perm(len(volumes)) {
			volumes[i].cutPower()
		}
		w.kill()
		w.drain(h.see)
		w.wait()
		for _, v := range volumes {
			v.remount()
		}
		h.mustBeAnchored()
	}
	h.mustOpen().close(t, h.see)
	t.Logf("%d entries after %d power cuts", len(h.hashes), rounds)
}

// TestLedgerCreationSurvivesPowerCut cuts the power during first starts.
func TestLedgerCreationSurvivesPowerCut(t *testing.T) {
	const rounds = 20
	random := rand.New(rand.NewPCG(ledgerSeed, 12))
	v := newVolume(t, 192*mib)
	made := 0
	for round := range rounds {
		h := newLedgerHistory(t, filepath.Join(v.dir, fmt.Sprint(round)))
		w := h.start()
		time.Sleep(time.Duration(random.Int64N(int64(25 * time.Millisecond))))
		v.cutPower()
		w.kill()
		if h.opened(w) {
			made++
		}
		w.drain(h.see)
		w.wait()
		v.remount()
		h.mustOpen().close(t, h.see)
		if err := os.RemoveAll(h.dir); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of %d ledgers were made before the power was cut", made, rounds)
}

// TestLedgerRacesForSpace lets something else fill the disk at 64 MiB a second
// while the log appends at full speed. The space that is kept free gives the
// store the time to finish what it has begun.
func TestLedgerRacesForSpace(t *testing.T) {
	v := newVolume(t, 256*mib)
	h := ledgerOn(t, v)
	w := h.mustOpen("-workers", "16")
	w.command("load")
	h.acks(w, 500)
	v.leave("ballast", 112*mib)
	filled := make(chan error, 1)
	go func() { filled <- fill(filepath.Join(v.dir, "flood"), 64*mib) }()
	w.until(t, "nospace", h.see)
	if err := <-filled; !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling the file system ended with %v", err)
	}
	w.command("once while-full")
	w.until(t, "failed", h.see)
	v.give("ballast")
	w.command("retry")
	h.acks(w, 50)
	h.end(w)
}

// TestLedgerLosesRaceForSpace fills the disk in no time. The space can be gone
// between the log's look at it and the write, which then is a fault that ends
// the process, or an error that ends the log. What was acknowledged is there.
func TestLedgerLosesRaceForSpace(t *testing.T) {
	const rounds = 6
	v := newVolume(t, 256*mib)
	h := ledgerOn(t, v)
	ended := map[string]int{}
	for round := range rounds {
		w := h.mustOpen("-bulk", "-seed", fmt.Sprint(round))
		w.command("load")
		h.acks(w, 10)
		v.leave("ballast", 0)
		for line, ok := w.next(); ok && line.kind != "nospace" && line.kind != "failed"; line, ok = w.next() {
			h.see(line)
		}
		w.kill()
		w.drain(h.see)
		state := w.wait()
		if state.ExitCode() >= 0 && !strings.Contains(w.stderr.String(), "signal SIGBUS") {
			t.Errorf("the writer has ended with %v:\n%s", state, tail(w.stderr.String()))
		}
		ended[state.String()]++
		v.give("ballast")
		h.mustBeAnchored()
	}
	h.mustOpen().close(t, h.see)
	t.Logf("the processes ended so: %v", ended)
}

// TestLedgerClosesOnFullDisk fills the disk to the last byte. The log has
// nothing more to write, and can be closed and opened again.
func TestLedgerClosesOnFullDisk(t *testing.T) {
	v := newVolume(t, 192*mib)
	h := ledgerOn(t, v)
	w := h.mustOpen("-workers", "4")
	w.command("load")
	h.acks(w, 100)
	v.fill("ballast")
	w.until(t, "nospace", h.see)
	w.close(t, h.see)
	if said := h.start().refused(t); !strings.Contains(said, "too little free disk space") {
		t.Errorf("opened on a full disk, the log says: %s", said)
	}
	v.give("ballast")
	h.mustOpen().close(t, h.see)
}

// TestLedgerBegunOnFullDisk starts a ledger where there is no space at all, and
// where there is too little.
func TestLedgerBegunOnFullDisk(t *testing.T) {
	v := newVolume(t, 128*mib)
	h := ledgerOn(t, v)
	for _, tc := range []struct {
		free int64
		want string
	}{{0, "no space left on device"}, {16 * mib, "too little free disk space"}} {
		if tc.free == 0 {
			v.fill("ballast")
		} else {
			v.leave("ballast", tc.free)
		}
		if said := h.start().refused(t); !strings.Contains(said, tc.want) || !strings.Contains(said, v.dir) {
			t.Errorf("a first start with %d bytes free says: %s", tc.free, said)
		}
		v.give("ballast")
	}
	h.mustOpen().close(t, h.see)
}
