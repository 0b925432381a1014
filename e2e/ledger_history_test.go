//go:build slow

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// ledgerHistory is what a ledger has been seen to hold and has promised, over
// the lives of many processes. It computes the tree itself.
type ledgerHistory struct {
	t      *testing.T
	dir    string // of the ledger
	anchor string // its anchor's directory

	keys   []string    // verifier keys, in the order they were used
	hashes []tlog.Hash // of the leaves that the last opening had
	tree   []tlog.Hash // as tlog.StoredHashes has it
	once   map[string]uint64
	kept   [][]byte // a checkpoint for each process

	// Keys that were tried and not acknowledged when a process was killed, and
	// those of them that are in the log.
	unsure, unsureFound int

	// Of the last process.
	acked map[uint64]ledgerLine
	tried map[string]bool // keys of AppendOnce, acknowledged or not
	heads [][]byte
	// rotating says that a rotation was begun; rotated is the key it ended with.
	rotating bool
	rotated  string
}

func newLedgerHistory(t *testing.T, dir string) *ledgerHistory {
	h := &ledgerHistory{t: t, dir: dir, anchor: filepath.Join(dir, "anchor"), once: map[string]uint64{}}
	h.forget()
	return h
}

// forget begins another process.
func (h *ledgerHistory) forget() {
	h.acked, h.tried, h.heads = map[uint64]ledgerLine{}, map[string]bool{}, nil
}

// start starts a writer that lists what the last one may have added.
func (h *ledgerHistory) start(flags ...string) *ledgerWriter {
	h.t.Helper()
	if h.anchor != filepath.Join(h.dir, "anchor") {
		flags = append(flags, "-anchor", h.anchor)
	}
	return startLedgerWriter(h.t, h.dir, append([]string{"-from", fmt.Sprint(len(h.hashes))}, flags...)...)
}

// mustOpen opens the ledger and compares it with all that was promised.
func (h *ledgerHistory) mustOpen(flags ...string) *ledgerWriter {
	h.t.Helper()
	w := h.start(flags...)
	if !h.opened(w) {
		w.ended(h.t, "opening the ledger")
	}
	return w
}

// acks waits for so many more acknowledgements.
func (h *ledgerHistory) acks(w *ledgerWriter, n int) {
	h.t.Helper()
	for range n {
		w.until(h.t, "ack", h.see)
	}
}

// end kills a writer, which must still be there, and opens the ledger once more.
func (h *ledgerHistory) end(w *ledgerWriter) {
	h.t.Helper()
	w.kill()
	w.drain(h.see)
	if state := w.wait(); state.ExitCode() >= 0 {
		h.t.Fatalf("the writer should have been running, and has ended with %v:\n%s", state, tail(w.stderr.String()))
	}
	h.mustOpen().close(h.t, h.see)
}

// see takes note of a line of a writer at work.
func (h *ledgerHistory) see(l ledgerLine) {
	switch l.kind {
	case "ack":
		if old, ok := h.acked[l.index]; ok || l.index < uint64(len(h.hashes)) {
			h.t.Errorf("entry %d is acknowledged twice: %q, %q", l.index, old.text, l.text)
		}
		h.acked[l.index] = l
	case "try":
		h.tried[l.rest] = true
	case "head":
		h.heads = append(h.heads, l.note(h.t))
	case "wrong":
		h.t.Error(l.text)
	}
}

// opened reads what a writer says when it has opened the ledger, and compares
// it with all that was promised before. It returns whether it got that far.
func (h *ledgerHistory) opened(w *ledgerWriter) bool {
	h.t.Helper()
	open, ok := w.next()
	if !ok {
		return false
	}
	if open.kind != "open" {
		h.t.Fatalf("the writer begins with %q", open.text)
	}
	var have []ledgerLine
	var head []byte
	for {
		line, ok := w.next()
		if !ok {
			return false
		}
		switch line.kind {
		case "have":
			have = append(have, line)
		case "head":
			head = line.note(h.t)
		}
		if line.kind == "ready" {
			break
		}
	}
	h.mustContinue(open, have)
	size := h.mustBeSigned(head)
	if size != uint64(len(h.hashes)) {
		h.t.Fatalf("the log was opened with %d entries and has %d", size, len(h.hashes))
	}
	h.kept = append(h.kept, head)
	h.countUnsure()
	h.forget()
	return true
}

func (h *ledgerHistory) countUnsure() {
	for once := range h.tried {
		index, ok := h.once[once]
		_, acked := h.acked[index]
		if !ok || !acked {
			h.unsure++
		}
		if ok && !acked {
			h.unsureFound++
		}
	}
}

// mustContinue compares what there is with what was acknowledged.
func (h *ledgerHistory) mustContinue(open ledgerLine, have []ledgerLine) {
	h.t.Helper()
	h.mustHaveKey(open.rest)
	old := len(h.hashes)
	for i, line := range have {
		if line.index != uint64(old+i) {
			h.t.Fatalf("entry %d is listed in the place of entry %d", line.index, old+i)
		}
		h.learn(line)
	}
	if open.index != uint64(len(h.hashes)) {
		h.t.Fatalf("the log has %d entries and lists those up to %d", open.index, len(h.hashes))
	}
	for index, line := range h.acked {
		switch {
		case index >= uint64(len(h.hashes)):
			h.t.Fatalf("entry %d was acknowledged and is lost: the log has %d entries", index, len(h.hashes))
		case h.hashes[index] != line.hash:
			h.t.Fatalf("entry %d was acknowledged as %q and is another", index, line.text)
		}
	}
	for _, head := range h.heads {
		h.mustBeSigned(head)
	}
}

// mustHaveKey compares the log's key with the one before, which only a rotation changes.
func (h *ledgerHistory) mustHaveKey(vkey string) {
	h.t.Helper()
	changed := len(h.keys) > 0 && h.keys[len(h.keys)-1] != vkey
	switch {
	case h.rotated != "" && vkey != h.rotated:
		h.t.Fatalf("the log has the key %s after it was given %s", vkey, h.rotated)
	case changed && !h.rotating:
		h.t.Fatalf("the log has the key %s and had %s", vkey, h.keys[len(h.keys)-1])
	case changed || len(h.keys) == 0:
		h.keys = append(h.keys, vkey)
	}
	h.rotating, h.rotated = false, ""
}

// learn takes an entry of the log as its next.
func (h *ledgerHistory) learn(line ledgerLine) {
	h.t.Helper()
	if line.once != "" {
		if first, ok := h.once[line.once]; ok {
			h.t.Fatalf("the key %s is used by the entries %d and %d", line.once, first, line.index)
		}
		h.once[line.once] = line.index
	}
	more, err := tlog.StoredHashesForRecordHash(int64(len(h.hashes)), line.hash, h.stored())
	if err != nil {
		h.t.Fatal(err)
	}
	h.hashes, h.tree = append(h.hashes, line.hash), append(h.tree, more...)
}

func (h *ledgerHistory) stored() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = h.tree[index]
		}
		return hashes, nil
	})
}

// mustBeSigned compares a checkpoint with the tree of the entries known, and
// returns its size. One of the log's keys must have signed it.
func (h *ledgerHistory) mustBeSigned(checkpoint []byte) uint64 {
	h.t.Helper()
	var verifiers []note.Verifier
	for _, key := range h.keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			h.t.Fatal(err)
		}
		verifiers = append(verifiers, v)
	}
	signed, err := note.Open(checkpoint, note.VerifierList(verifiers...))
	if err != nil {
		h.t.Fatalf("a checkpoint is not signed with the keys %q: %v\n%s", h.keys, err, checkpoint)
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) != 4 || lines[0] != ledgerOrigin {
		h.t.Fatalf("this is no checkpoint of the ledger:\n%s", signed.Text)
	}
	size := number(lines[1])
	if size > uint64(len(h.hashes)) {
		h.t.Fatalf("a checkpoint of %d entries was shown, and the log has %d", size, len(h.hashes))
	}
	root, err := tlog.TreeHash(int64(size), h.stored())
	if err != nil {
		h.t.Fatal(err)
	}
	if lines[2] != root.String() {
		h.t.Fatalf("the checkpoint of %d entries has the root %s, the entries have %s", size, lines[2], root)
	}
	return size
}

// anchored is how many entries the anchor of a ledger has that nobody has open.
func (h *ledgerHistory) anchored() uint64 {
	h.t.Helper()
	data, err := os.ReadFile(filepath.Join(h.anchor, "checkpoint"))
	if errors.Is(err, fs.ErrNotExist) && h.keys == nil {
		return 0
	}
	if err != nil {
		h.t.Fatal(err)
	}
	lines := strings.SplitN(string(data), "\n", 3)
	if len(lines) != 3 {
		h.t.Fatalf("the anchor is no checkpoint:\n%s", data)
	}
	h.heads = append(h.heads, data)
	return number(lines[1])
}

// mustBeAnchored makes sure that the anchor of a ledger that nobody has open
// has all that was acknowledged.
func (h *ledgerHistory) mustBeAnchored() {
	h.t.Helper()
	size := h.anchored()
	for index := range h.acked {
		if index >= size {
			h.t.Fatalf("entry %d was acknowledged and the anchor has %d", index, size)
		}
	}
}

// mustVerify verifies a bundle of the log against the first key and every
// checkpoint kept, and compares its entries with those known.
func (h *ledgerHistory) mustVerify(bundle string) {
	h.t.Helper()
	source, err := verify.NewDir(bundle)
	if err != nil {
		h.t.Fatal(err)
	}
	check := &sameEntries{history: h}
	report := verify.Log(h.t.Context(), source, verify.Options{Keys: h.keys[:1], Since: h.kept, Checks: []verify.Check{check}})
	if report.Code != verify.Verified || report.Tier != verify.Anchored || report.AnchoredTo == 0 {
		h.t.Fatalf("the bundle is %s, tier %s, anchored to %d: %+v", report.Verdict, report.Tier, report.AnchoredTo, report.Problem)
	}
}

// sameEntries is the rule that a bundle has the entries that are known.
type sameEntries struct {
	history *ledgerHistory
	next    uint64
}

func (c *sameEntries) Entry(index uint64, leaf []byte) error {
	if index != c.next {
		return fmt.Errorf("entry %d comes in the place of entry %d", index, c.next)
	}
	c.next++
	if index < uint64(len(c.history.hashes)) && c.history.hashes[index] != tlog.RecordHash(leaf) {
		return fmt.Errorf("entry %d is not the one that was acknowledged", index)
	}
	return nil
}

func (c *sameEntries) End() error {
	if known := uint64(len(c.history.hashes)); c.next < known {
		return fmt.Errorf("the bundle has %d of %d entries", c.next, known)
	}
	return nil
}

// repeat asks again for keys of the last process: those in the log are found
// there, the others are appended.
func (h *ledgerHistory) repeat(w *ledgerWriter, tried map[string]bool) {
	h.t.Helper()
	for _, once := range slices.Sorted(maps.Keys(tried)) {
		w.command("once " + once)
	}
	size := uint64(len(h.hashes))
	for range tried {
		line := w.until(h.t, "again", h.see)
		index, known := h.once[line.once]
		switch {
		case known && (line.appended || line.index != index):
			h.t.Errorf("the key %s is that of entry %d, and its repetition says %q", line.once, index, line.text)
		case !known && (!line.appended || line.index < size):
			h.t.Errorf("the key %s is in no entry, and its repetition says %q", line.once, line.text)
		case !known:
			h.acked[line.index] = line
		}
	}
}
