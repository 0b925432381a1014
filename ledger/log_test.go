package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const logOrigin = "example.com/write-side"

// testOptions are those of a log in a directory of its own.
func testOptions(t testing.TB) Options {
	return Options{Dir: filepath.Join(t.TempDir(), "ledger"), Origin: logOrigin, MinFree: 1,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1700000000, 0) }}
}

// openLog opens a log that the test's end closes.
func openLog(t testing.TB, o Options) *Log {
	t.Helper()
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// closedLog makes a log with n entries after the ledger's own, and closes it.
func closedLog(t testing.TB, n int) Options {
	t.Helper()
	o := testOptions(t)
	l := openLog(t, o)
	appendLeaves(t, l, n)
	closeLog(t, l)
	return o
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// leafAt is the leaf that appendLeaves puts at an index.
func leafAt(index uint64) []byte { return fmt.Appendf(nil, `{"kind":"test","n":%d}`, index) }

// appendLeaves appends n entries in calls of at most 1000.
func appendLeaves(t testing.TB, l *Log, n int) {
	t.Helper()
	for n > 0 {
		var entries []Entry
		size := l.Checkpoint().Size
		for range min(n, 1000) {
			entries = append(entries, Entry{Leaf: leafAt(size + uint64(len(entries)))})
		}
		indices, err := l.Append(t.Context(), entries)
		if err != nil {
			t.Fatal(err)
		}
		if indices[0] != size || indices[len(indices)-1] != size+uint64(len(entries))-1 {
			t.Fatalf("indices %d to %d, want them from %d on", indices[0], indices[len(indices)-1], size)
		}
		n -= len(entries)
	}
}

// checkLog verifies a log from outside: leaves, root, signature. want are
// those leaves that must be there, by index; others are read for the root only.
func checkLog(t testing.TB, l *Log, want map[uint64][]byte) {
	t.Helper()
	c := l.Checkpoint()
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = hashes[index]
		}
		return found, nil
	})
	for i := range c.Size {
		leaf, err := l.Entry(i)
		if err != nil {
			t.Fatal(err)
		}
		if expected, ok := want[i]; ok && !bytes.Equal(leaf, expected) {
			t.Errorf("entry %d is %s, want %s", i, leaf, expected)
		}
		added, err := tlog.StoredHashes(int64(i), leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, added...)
	}
	for i := range want {
		if i >= c.Size {
			t.Errorf("entry %d was acknowledged and is not there: the log has %d entries", i, c.Size)
		}
	}
	root, err := tlog.TreeHash(int64(c.Size), reader)
	if err != nil {
		t.Fatal(err)
	}
	if root != tlog.Hash(c.Root) {
		t.Errorf("the root of %d entries is %v, the checkpoint says %v", c.Size, root, tlog.Hash(c.Root))
	}
	checkNote(t, &c, l.VerifierKey())
}

// checkNote verifies a checkpoint's signature and text.
func checkNote(t testing.TB, c *Checkpoint, vkey string) {
	t.Helper()
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(c.Note, note.VerifierList(verifier))
	if err != nil {
		t.Fatalf("the checkpoint of %d entries: %v", c.Size, err)
	}
	if want := fmt.Sprintf("%s\n%d\n%v\n", c.Origin, c.Size, tlog.Hash(c.Root)); n.Text != want {
		t.Errorf("the checkpoint says %q, want %q", n.Text, want)
	}
}

// snapshot describes everything below a directory, byte for byte.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var text strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s %s", path[len(dir):], info.Mode())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, " %d %x", len(data), sha256.Sum256(data))
		}
		text.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// copyTree copies a directory while it may be in use.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	// CopyFS makes files readable by others, which a key must not be.
	key := filepath.Join(to, keyName)
	if err := os.Chmod(key, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestNewLog(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	c := l.Checkpoint()
	if c.Size != 1 || c.Origin != logOrigin || l.Origin() != logOrigin {
		t.Fatalf("the new log is %+v of %q, want one entry and %s", c, l.Origin(), logOrigin)
	}
	checkLog(t, l, nil)
	leaf, err := l.Entry(0)
	if err != nil {
		t.Fatal(err)
	}
	var entry map[string]any
	if err := json.Unmarshal(leaf, &entry); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"v": 1.0, "kind": "ledger.created", "time": "2023-11-14T22:13:20Z",
		"format": "countersign-ledger/1", "origin": logOrigin, "vkey": l.VerifierKey()}
	if fmt.Sprint(entry) != fmt.Sprint(want) {
		t.Errorf("entry 0 is %v, want %v", entry, want)
	}
	info, err := os.Stat(filepath.Join(o.Dir, "ledger.key"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("the key file: %v, %v; want mode 0600", info, err)
	}
	anchor, err := os.ReadFile(filepath.Join(o.Dir, "anchor", "checkpoint"))
	if err != nil || !bytes.Equal(anchor, c.Note) {
		t.Errorf("the anchor is %q (%v), want %q", anchor, err, c.Note)
	}
	if _, ok := l.Witnessed(); ok {
		t.Error("there is a cosigned checkpoint without witnesses")
	}
}

func TestReopen(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	want := map[uint64][]byte{}
	for _, n := range []int{1, 254, 1, 700, 66_000} {
		from := l.Checkpoint().Size
		appendLeaves(t, l, n)
		for i := from; i < from+uint64(n); i += 37 {
			want[i] = leafAt(i)
		}
		before, vkey := l.Checkpoint(), l.VerifierKey()
		closeLog(t, l)
		o.Origin = "" // is for a new log only
		l = openLog(t, o)
		if after := l.Checkpoint(); !bytes.Equal(after.Note, before.Note) || l.VerifierKey() != vkey {
			t.Fatalf("reopened, the log is %s of %s, want %s of %s", after.Note, l.VerifierKey(), before.Note, vkey)
		}
	}
	checkLog(t, l, want)
}

func TestOriginOfAnExistingLog(t *testing.T) {
	o := closedLog(t, 1)
	o.Origin = "example.com/another"
	if l := openLog(t, o); l.Origin() != logOrigin {
		t.Errorf("the log's origin has become %s", l.Origin())
	}
}

func TestClose(t *testing.T) {
	l := openLog(t, testOptions(t))
	closeLog(t, l)
	closeLog(t, l)
	if _, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(1)}}); !errors.Is(err, ErrClosed) {
		t.Errorf("Append after Close: %v, want ErrClosed", err)
	}
	if _, _, err := l.AppendOnce(t.Context(), Entry{Leaf: []byte(`{"kind":"k","once":"o"}`)}); !errors.Is(err, ErrClosed) {
		t.Errorf("AppendOnce after Close: %v, want ErrClosed", err)
	}
	if _, err := l.Entry(0); !errors.Is(err, ErrClosed) {
		t.Errorf("Entry after Close: %v, want ErrClosed", err)
	}
	if err := l.Err(); err != nil {
		t.Errorf("Err after Close: %v", err)
	}
	if c := l.Checkpoint(); c.Size != 1 {
		t.Errorf("the checkpoint after Close has the size %d", c.Size)
	}
}

func TestOpenTwice(t *testing.T) {
	o := testOptions(t)
	l := openLog(t, o)
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), o.Dir) {
		t.Errorf("Open of an open log: %v, want ErrLocked with the directory", err)
	}
	if _, err := RotateKey(t.Context(), o, ""); !errors.Is(err, ErrLocked) {
		t.Errorf("RotateKey of an open log: %v, want ErrLocked", err)
	}
	if err := CopyStore(t.Context(), o.storeDir(), t.TempDir(), nil); !errors.Is(err, ErrLocked) {
		t.Errorf("CopyStore of an open log: %v, want ErrLocked", err)
	}
	closeLog(t, l)
	openLog(t, o)
}
