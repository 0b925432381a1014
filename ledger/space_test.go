package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

func TestNoSpace(t *testing.T) {
	o := testOptions(t)
	o.AnchorDir = filepath.Join(t.TempDir(), "anchor")
	l := openLog(t, o)
	l.sequencer.minFree = 1 << 60
	_, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(1)}})
	if !errors.Is(err, ErrNoSpace) {
		t.Errorf("Append: %v, want ErrNoSpace", err)
	}
	for _, word := range []string{o.storeDir(), "bytes free", "1152921504606846976"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Append: %v, want %s in it", err, word)
		}
	}
	if _, _, err := l.AppendOnce(t.Context(), Entry{Leaf: onceLeaf("a")}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("AppendOnce: %v, want ErrNoSpace", err)
	}
	l.sequencer.minFree = 1
	away := o.AnchorDir + ".away"
	if err := os.Rename(o.AnchorDir, away); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(t.Context(), []Entry{{Leaf: leafAt(1)}}); err == nil || !strings.Contains(err.Error(), o.AnchorDir) {
		t.Errorf("Append without the anchor's directory: %v, want an error that names it", err)
	}
	if err := os.Rename(away, o.AnchorDir); err != nil {
		t.Fatal(err)
	}
	if err := l.Err(); err != nil {
		t.Errorf("a full disk has stopped the log: %v", err)
	}
	if _, err := l.Entry(0); err != nil {
		t.Errorf("a log on a full disk cannot be read: %v", err)
	}
	appendLeaves(t, l, 2)
	if size := l.Checkpoint().Size; size != 3 {
		t.Errorf("after there is space again the log has %d entries, want 3", size)
	}
	closeLog(t, l)

	o.MinFree = 1 << 60
	before := snapshot(t, o.Dir)
	if _, err := Open(t.Context(), o); !errors.Is(err, ErrNoSpace) {
		t.Errorf("Open: %v, want ErrNoSpace", err)
	}
	if after := snapshot(t, o.Dir); after != before {
		t.Error("Open on a full disk has changed the log")
	}
}

func TestSpaceOfNoFileSystem(t *testing.T) {
	if err := checkSpace(filepath.Join(t.TempDir(), "absent"), 1); err == nil || errors.Is(err, ErrNoSpace) {
		t.Errorf("%v, want an error that is not ErrNoSpace", err)
	}
}

func TestStoreSpace(t *testing.T) {
	table := func(level int, left, right string, size uint32) badger.TableInfo {
		return badger.TableInfo{Level: level, Left: []byte(left), Right: []byte(right), OnDiskSize: size}
	}
	for _, test := range []struct {
		name   string
		tables []badger.TableInfo
		want   uint64 // beside twice what waits
	}{
		{"an empty store", nil, 0},
		{"level 0 alone", []badger.TableInfo{table(0, "a", "c", 10), table(0, "b", "d", 20)}, 30},
		{"level 0 and what it overlaps", []badger.TableInfo{
			table(0, "c", "e", 10), table(0, "d", "f", 20),
			table(5, "a", "b", 100), table(5, "c", "d", 200), table(5, "e", "g", 400), table(5, "h", "i", 800),
		}, 30 + 600},
		{"two levels", []badger.TableInfo{
			table(5, "a", "b", 1), table(5, "c", "d", 2),
			table(6, "a", "a", 10), table(6, "b", "b", 20), table(6, "c", "c", 40), table(6, "e", "f", 80),
		}, 42},
	} {
		if found := storeSpace(test.tables, 1000); found != 2000+test.want {
			t.Errorf("%s: %d, want %d", test.name, found, 2000+test.want)
		}
	}
}
