package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// killedLog makes a log of 700 entries as a kill leaves it: of its rows, some
// are in a table and some in a write-ahead log. older is the directory as it
// was when the log was closed with 501.
func killedLog(t testing.TB) (o Options, older string) {
	t.Helper()
	o = closedLog(t, 500)
	older = filepath.Join(t.TempDir(), "older")
	copyTree(t, o.Dir, older)
	l := openLog(t, o)
	appendLeaves(t, l, 199)
	killed := filepath.Join(t.TempDir(), "ledger")
	copyTree(t, o.Dir, killed)
	closeLog(t, l)
	o.Dir = killed
	return o, older
}

// replace puts a directory in the place of another.
func replace(t testing.TB, dir, with string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	copyTree(t, with, dir)
}

// alter changes the content of a file.
func alter(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// only returns the one file of a store whose name ends so.
func only(t testing.TB, o Options, suffix string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(o.storeDir(), "*"+suffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v, %v: want one file *%s", found, err, suffix)
	}
	return found[0]
}

// TestLossIsNotLaundered takes away what was acknowledged, in the ways that
// crashes, backups and attackers do, and makes sure that no log goes on from
// there, and that what is left stays as it is for whoever looks into it.
func TestLossIsNotLaundered(t *testing.T) {
	original, older := killedLog(t)
	remove := func(t *testing.T, path string) {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	zero := func(from, to int) func([]byte) []byte {
		return func(data []byte) []byte {
			clear(data[from:to])
			return data
		}
	}
	for _, test := range []struct {
		name     string
		change   func(t *testing.T, o Options)
		index    int64
		rollback bool
		words    string
	}{
		{"store removed", func(t *testing.T, o Options) { remove(t, o.storeDir()) }, 0, true, "there is no store"},
		{"anchor removed", func(t *testing.T, o Options) { remove(t, o.AnchorDir) }, -1, false, "has no anchor"},
		{"anchor's file removed", func(t *testing.T, o Options) { remove(t, filepath.Join(o.AnchorDir, "checkpoint")) }, -1, false, "has no anchor"},
		{"store and anchor removed", func(t *testing.T, o Options) { remove(t, o.storeDir()); remove(t, o.AnchorDir) }, -1, true, "is the key of a ledger of which neither"},
		{"store of an earlier time", func(t *testing.T, o Options) { replace(t, o.storeDir(), filepath.Join(older, "store")) }, 501, true, "the anchor acknowledges 700 entries and the store has 501"},
		{"write-ahead log removed", func(t *testing.T, o Options) { remove(t, only(t, o, ".mem")) }, 501, true, "the store has 501"},
		{"write-ahead log emptied", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".mem"), func([]byte) []byte { return nil })
		}, 501, true, "the store has 501"},
		{"write-ahead log zeroed", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".mem"), zero(walHeader, 8192))
		}, 501, true, "the store has 501"},
		{"a bit of the write-ahead log flipped", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".mem"), func(data []byte) []byte { data[9000] ^= 4; return data })
		}, 501, true, "the store has 501"},
		{"table removed", func(t *testing.T, o Options) { remove(t, only(t, o, ".sst")) }, -1, false, "no such file"},
		{"table emptied", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".sst"), func([]byte) []byte { return nil })
		}, -1, false, ".sst"},
		{"table cut in half", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".sst"), func(data []byte) []byte { return data[:len(data)/2] })
		}, -1, false, ".sst"},
		{"table without its last byte", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".sst"), func(data []byte) []byte { return data[:len(data)-1] })
		}, -1, false, ".sst"},
		{"table grown", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".sst"), func(data []byte) []byte { return append(data, 0, 0, 0, 0, 0, 0, 0, 0) })
		}, -1, false, ".sst"},
		{"page of a table zeroed", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".sst"), zero(4096, 8192))
		}, -1, false, ".sst"},
		{"end of a table zeroed", func(t *testing.T, o Options) {
			alter(t, only(t, o, ".sst"), func(data []byte) []byte { return zero(len(data)-4096, len(data))(data) })
		}, -1, false, ".sst"},
		{"list of tables removed", func(t *testing.T, o Options) { remove(t, filepath.Join(o.storeDir(), "MANIFEST")) }, -1, false, "lost its file MANIFEST"},
		{"list of tables emptied", func(t *testing.T, o Options) {
			alter(t, filepath.Join(o.storeDir(), "MANIFEST"), func([]byte) []byte { return nil })
		}, -1, false, "MANIFEST"},
		{"list of tables cut", func(t *testing.T, o Options) {
			alter(t, filepath.Join(o.storeDir(), "MANIFEST"), func(data []byte) []byte { return data[:len(data)-3] })
		}, 0, false, "has no row"},
		{"list of tables altered", func(t *testing.T, o Options) {
			alter(t, filepath.Join(o.storeDir(), "MANIFEST"), func(data []byte) []byte { data[len(data)-3] ^= 1; return data })
		}, -1, false, "MANIFEST"},
		{"anchor emptied", func(t *testing.T, o Options) {
			alter(t, filepath.Join(o.AnchorDir, "checkpoint"), func([]byte) []byte { return nil })
		}, -1, false, "not a signed note"},
		{"anchor altered", func(t *testing.T, o Options) {
			alter(t, filepath.Join(o.AnchorDir, "checkpoint"), func(data []byte) []byte {
				return []byte(strings.Replace(string(data), "\n700\n", "\n699\n", 1))
			})
		}, -1, false, "does not hold"},
		{"anchor of another log", func(t *testing.T, o Options) {
			other := closedLog(t, 699)
			replace(t, o.AnchorDir, filepath.Join(other.Dir, "anchor"))
		}, -1, false, "does not hold"},
		{"store of another log", func(t *testing.T, o Options) {
			other := closedLog(t, 699)
			replace(t, o.storeDir(), filepath.Join(other.Dir, "store"))
		}, -1, false, "does not hold"},
		{"store of a fork", func(t *testing.T, o Options) { replace(t, o.storeDir(), filepath.Join(fork(t, older, 199), "store")) }, -1, true, "a fork"},
		{"store of a longer fork", func(t *testing.T, o Options) { replace(t, o.storeDir(), filepath.Join(fork(t, older, 300), "store")) }, -1, true, "a fork"},
		{"store of a shorter fork", func(t *testing.T, o Options) { replace(t, o.storeDir(), filepath.Join(fork(t, older, 100), "store")) }, 601, true, "the store has 601"},
		{"cosigned checkpoint of a fork", func(t *testing.T, o Options) {
			alter(t, filepath.Join(fork(t, older, 199), "anchor", "checkpoint"), func(data []byte) []byte {
				if err := os.WriteFile(filepath.Join(o.AnchorDir, "checkpoint.witnessed"), data, 0o600); err != nil {
					t.Fatal(err)
				}
				return data
			})
		}, -1, true, "a fork"},
		{"cosigned checkpoint of nonsense", func(t *testing.T, o Options) {
			if err := os.WriteFile(filepath.Join(o.AnchorDir, "checkpoint.witnessed"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, -1, false, "checkpoint.witnessed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := original
			o.Dir = filepath.Join(t.TempDir(), "ledger")
			o.AnchorDir = filepath.Join(o.Dir, "anchor")
			copyTree(t, original.Dir, o.Dir)
			test.change(t, o)
			checkOpenRefused(t, o, test.index, test.rollback, test.words)
		})
	}
	checkLog(t, openLog(t, original), map[uint64][]byte{1: leafAt(1), 699: leafAt(699)})
}

// fork copies a log and appends other entries to it.
func fork(t testing.TB, dir string, n int) string {
	t.Helper()
	o := testOptions(t)
	copyTree(t, dir, o.Dir)
	l := openLog(t, o)
	var entries []Entry
	for range n {
		entries = append(entries, Entry{Leaf: []byte(`{"kind":"another"}`)})
	}
	if _, err := l.Append(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	closeLog(t, l)
	return o.Dir
}

// TestFlippedBits flips bits all over a store. Whatever Badger makes of one, a
// log that is opened has everything.
func TestFlippedBits(t *testing.T) {
	original, _ := killedLog(t)
	random := rand.New(rand.NewPCG(3, 4))
	each, refused := 15, 0
	if testing.Short() {
		each = 4
	}
	for _, suffix := range []string{".sst", ".mem", "MANIFEST", "KEYREGISTRY"} {
		for range each {
			o := original
			o.Dir = filepath.Join(t.TempDir(), "ledger")
			copyTree(t, original.Dir, o.Dir)
			at, bit := 0, byte(1)<<random.IntN(8)
			alter(t, only(t, o, suffix), func(data []byte) []byte {
				used := len(data)
				if suffix == ".mem" {
					used = min(used, 40_000)
				}
				at = random.IntN(used)
				data[at] ^= bit
				return data
			})
			before := snapshot(t, o.Dir)
			l, err := Open(t.Context(), o)
			if err == nil {
				if l.Checkpoint().Size != 700 {
					t.Errorf("%s, byte %d: the log was opened with %d entries", suffix, at, l.Checkpoint().Size)
				}
				closeLog(t, l)
				continue
			}
			refused++
			if _, ok := errors.AsType[*IntegrityError](err); !ok {
				t.Errorf("%s, byte %d: %v, want an *IntegrityError", suffix, at, err)
			}
			if after := snapshot(t, o.Dir); after != before {
				t.Errorf("%s, byte %d: Open has changed the log", suffix, at)
			}
		}
	}
	if refused < 2*each {
		t.Errorf("only %d of %d flipped bits were noticed", refused, 4*each)
	}
}

// TestAnchorIsMovedForward opens a log whose anchor is that of an earlier time:
// the store has grown by what the key has signed.
func TestAnchorIsMovedForward(t *testing.T) {
	o, older := killedLog(t)
	replace(t, filepath.Join(o.Dir, "anchor"), filepath.Join(older, "anchor"))
	l := openLog(t, o)
	if c := l.Checkpoint(); c.Size != 700 {
		t.Errorf("the log has %d entries, want 700", c.Size)
	}
	anchor, err := readAnchor(filepath.Join(o.Dir, "anchor"))
	if err != nil || anchor.Size != 700 {
		t.Errorf("the anchor is %+v (%v), want that of 700 entries", anchor, err)
	}
	checkGoesOn(t, o, l)
}

func TestAnchorElsewhere(t *testing.T) {
	o := testOptions(t)
	o.AnchorDir = filepath.Join(t.TempDir(), "disk", "anchor")
	l := openLog(t, o)
	appendLeaves(t, l, 3)
	closeLog(t, l)
	if _, err := os.Stat(filepath.Join(o.Dir, "anchor")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is an anchor in the ledger's directory: %v", err)
	}
	elsewhere := o
	elsewhere.AnchorDir = ""
	checkOpenRefused(t, elsewhere, -1, false, "say where")
	l = openLog(t, o)
	checkGoesOn(t, o, l)

	// All of the directory lost: the anchor remembers.
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), o)
	if damage, ok := errors.AsType[*IntegrityError](err); !ok || !damage.Rollback {
		t.Errorf("%v, want a rollback", err)
	}
}

// TestCheckIsCleanedUp leaves the view of a check behind, as a kill does.
func TestCheckIsCleanedUp(t *testing.T) {
	o, _ := killedLog(t)
	left := filepath.Join(o.Dir, shadowName)
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"00001.mem", "000001.sst"} {
		target := only(t, o, ".sst")
		var err error
		if i == 0 {
			err = os.WriteFile(filepath.Join(left, name), []byte("x"), 0o600)
		} else {
			err = os.Symlink(target, filepath.Join(left, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, o)
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the view of the check is still there: %v", err)
	}
	checkLog(t, l, map[uint64][]byte{699: leafAt(699)})
}

// TestEmptyFiles has files that Badger makes empty, as a kill at that moment leaves them.
func TestEmptyFiles(t *testing.T) {
	o, _ := killedLog(t)
	for _, name := range []string{"00009.mem", "000009.vlog", "000009.sst"} {
		if err := os.WriteFile(filepath.Join(o.storeDir(), name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := openLog(t, o)
	checkLog(t, l, map[uint64][]byte{1: leafAt(1), 699: leafAt(699)})
	checkGoesOn(t, o, l)
}

// TestPowerLoss loses what was not made durable of the anchor: a temporary file.
func TestPowerLoss(t *testing.T) {
	for _, content := range []string{"", "half a check"} {
		t.Run(fmt.Sprintf("%q", content), func(t *testing.T) {
			o := closedLog(t, 5)
			if err := os.WriteFile(filepath.Join(o.Dir, "anchor", "checkpoint.tmp"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			checkGoesOn(t, o, openLog(t, o))
		})
	}
}
