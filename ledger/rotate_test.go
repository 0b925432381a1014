package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// checkRotation makes sure that an entry replaces a key as it should, and that
// the log goes on under the new one.
func checkRotation(t testing.TB, o Options, index uint64, old, next string) {
	t.Helper()
	l := openLog(t, o)
	if l.VerifierKey() != next {
		t.Errorf("the log has the key %s, want %s", l.VerifierKey(), next)
	}
	leaf, err := l.Entry(index)
	if err != nil {
		t.Fatal(err)
	}
	var entry rotated
	if err := json.Unmarshal(leaf, &entry); err != nil {
		t.Fatal(err)
	}
	if entry.Kind != "ledger.rotated" || entry.Time != "2023-11-14T22:13:20Z" {
		t.Errorf("the entry is %s", leaf)
	}
	text := fmt.Sprintf("countersign-ledger/key-rotation/v1\n%s\n%d\n%s\n%s\n", logOrigin, index, old, next)
	for _, vkey := range []string{old, next} {
		verifier, err := note.NewVerifier(vkey)
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open([]byte(entry.Statement), note.VerifierList(verifier))
		if err != nil || n.Text != text {
			t.Errorf("signed by %s the statement is %+v (%v), want %q", keyID(vkey), n, err, text)
		}
	}
	checkLog(t, l, nil)
	checkGoesOn(t, o, l)
}

func TestRotateKey(t *testing.T) {
	o := closedLog(t, 3)
	first, err := readKey(filepath.Join(o.Dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	second, err := RotateKey(t.Context(), o, "")
	if err != nil {
		t.Fatal(err)
	}
	checkRotation(t, o, 4, first.vkey, second) // has grown to 8
	if _, err := os.Stat(filepath.Join(o.Dir, nextKeyName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary key is still there: %v", err)
	}

	outside := newTestKey(t, logOrigin)
	third, err := RotateKey(t.Context(), o, outside.secret)
	if err != nil || third != outside.vkey {
		t.Fatalf("%s, %v; want %s", third, err, outside.vkey)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, keyName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old key is still there: %v", err)
	}
	withSigner := o
	withSigner.Signer = outside.secret
	checkRotation(t, withSigner, 8, second, third)

	fourth, err := RotateKey(t.Context(), withSigner, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), withSigner); err == nil || !strings.Contains(err.Error(), keyID(fourth)) {
		t.Errorf("opened with the old key: %v, want the new key's id", err)
	}
	checkRotation(t, o, 12, third, fourth)
}

func TestRotationsThatAreRefused(t *testing.T) {
	o := closedLog(t, 3)
	own, err := readKey(filepath.Join(o.Dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(o.Dir, "anchor", "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	for secret, words := range map[string]string{
		"nonsense": "not a note signer key",
		newTestKey(t, "example.com/other").secret: "must have the ledger's origin",
		own.secret: "is the one that the ledger has",
	} {
		if _, err := RotateKey(t.Context(), o, secret); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
	full := o
	full.MinFree = 1 << 60
	if _, err := RotateKey(t.Context(), full, ""); !errors.Is(err, ErrNoSpace) {
		t.Errorf("on a full disk: %v, want ErrNoSpace", err)
	}
	after, err := os.ReadFile(filepath.Join(o.Dir, "anchor", "checkpoint"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the log has changed: %s, %v", after, err)
	}
	empty := testOptions(t)
	if _, err := RotateKey(t.Context(), empty, ""); err == nil || !strings.Contains(err.Error(), "no ledger") {
		t.Errorf("without a log: %v", err)
	}
	if _, err := os.Stat(empty.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("rotating the key of no log has made a directory: %v", err)
	}
}

// TestCrashWhileKeyIsRotated lets the steps of the entry that rotates the key
// fail, which leaves what a crash there leaves, and opens the log.
func TestCrashWhileKeyIsRotated(t *testing.T) {
	for _, step := range fatalSteps {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", step.name, after), func(t *testing.T) {
				o := closedLog(t, 3)
				l, err := open(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				old := l.VerifierKey()
				l.sequencer.wal.next--
				step.set(&l.sequencer.steps, after)
				if _, err := l.rotate(""); !errors.Is(err, ErrFailed) {
					t.Errorf("rotate: %v, want ErrFailed", err)
				}
				if err := l.closeStore(); err != nil {
					t.Fatal(err)
				}
				next, err := readKey(filepath.Join(o.Dir, nextKeyName))
				if err != nil {
					t.Fatal(err)
				}
				if err := Check(o); err != nil {
					t.Errorf("Check: %v", err)
				}
				if !after && step.name == "the transaction" {
					l := openLog(t, o)
					if l.VerifierKey() != old {
						t.Errorf("the log has the key %s, want the old one %s", l.VerifierKey(), old)
					}
					checkGoesOn(t, o, l)
				} else {
					checkRotation(t, o, 4, old, next.vkey)
				}
				if _, err := os.Stat(filepath.Join(o.Dir, nextKeyName)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the other key is still there: %v", err)
				}
			})
		}
	}
}

// TestCrashBeforeRotation has a key for a rotation, perhaps half of one, and no entry.
func TestCrashBeforeRotation(t *testing.T) {
	for _, content := range []string{"", newTestKey(t, logOrigin).secret + "\n"} {
		o := closedLog(t, 3)
		if err := os.WriteFile(filepath.Join(o.Dir, nextKeyName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		checkGoesOn(t, o, openLog(t, o))
		if _, err := os.Stat(filepath.Join(o.Dir, nextKeyName)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the unused key is still there: %v", err)
		}
	}
}

// TestForgedRotations has statements that replace a key and must not.
func TestForgedRotations(t *testing.T) {
	old, next, other := newTestKey(t, logOrigin), newTestKey(t, logOrigin), newTestKey(t, logOrigin)
	leaf, err := createdLeaf(testOptions(t).Now(), old)
	if err != nil {
		t.Fatal(err)
	}
	c, err := chain(nil).extend(0, leaf)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(text string, signers ...note.Signer) []byte {
		statement, err := note.Sign(&note.Note{Text: text}, signers...)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := json.Marshal(rotated{Version: 1, Kind: kindRotated, Statement: string(statement)})
		if err != nil {
			t.Fatal(err)
		}
		return leaf
	}
	good := rotationText(logOrigin, 7, old.vkey, next.vkey)
	grown, err := c.extend(7, sign(good, old, next))
	if err != nil || grown.last().vkey != next.vkey || grown.at(7).vkey != old.vkey || grown.at(8).vkey != next.vkey || grown.at(0).vkey != old.vkey {
		t.Fatalf("the right statement: %v, %v", grown, err)
	}
	for name, leaf := range map[string][]byte{
		"without the old key's signature": sign(good, next),
		"without the new key's signature": sign(good, old),
		"signed by others":                sign(good, other),
		"for another index":               sign(rotationText(logOrigin, 8, old.vkey, next.vkey), old, next),
		"for another log":                 sign(rotationText("example.com/other", 7, old.vkey, next.vkey), old, next),
		"for another old key":             sign(rotationText(logOrigin, 7, other.vkey, next.vkey), old, other, next),
		"to the same key":                 sign(rotationText(logOrigin, 7, old.vkey, old.vkey), old),
		"to a key of another name":        sign(rotationText(logOrigin, 7, old.vkey, newTestKey(t, "example.com/other").vkey), old, next),
		"to nonsense":                     sign(rotationText(logOrigin, 7, old.vkey, "x"), old, next),
		"with another header":             sign("x"+good, old, next),
		"with another line":               sign(good+"x\n", old, next),
		"not a note":                      []byte(`{"kind":"ledger.rotated","statement":"x"}`),
		"not a statement":                 []byte(`{"kind":"ledger.rotated","statement":7}`),
	} {
		if grown, err := c.extend(7, leaf); err == nil {
			t.Errorf("a rotation %s is taken: %v", name, grown)
		}
	}
	if _, err := c.extend(1, leaf); err == nil {
		t.Error("a second beginning is taken")
	}
	if _, err := chain(nil).extend(0, sign(good, old, next)); err == nil {
		t.Error("a rotation is taken as the beginning")
	}
}
