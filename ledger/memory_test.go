package ledger

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// resident is how many bytes of the store's tables count as memory of this process.
func resident(t testing.TB, dir string) (bytes int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	counts := false
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if strings.Contains(fields[0], "-") {
			_, _, path := parseMapping(strings.TrimSuffix(line, "\n"))
			counts = filepath.Dir(path) == dir && filepath.Ext(path) == tableSuffix
		} else if counts && fields[0] == "Rss:" {
			kb, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			bytes += kb << 10
		}
	}
	return bytes
}

func TestGivePagesBack(t *testing.T) {
	o := closedLog(t, 20_000)
	l := openLog(t, o)
	readAll := func() {
		for i := range l.Checkpoint().Size {
			if _, err := l.Entry(i); err != nil {
				t.Fatal(err)
			}
		}
	}
	readAll()
	before := resident(t, o.storeDir())
	l.givePagesBack()
	after := resident(t, o.storeDir())
	if before < 1<<20 || after > before/10 {
		t.Errorf("the tables take %d bytes of memory after reading, and %d after giving them back", before, after)
	}

	// Beside readers and writers nothing is lost.
	var running sync.WaitGroup
	done := make(chan bool)
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				l.givePagesBack()
			}
		}
	})
	running.Go(func() { appendLeaves(t, l, 30_000) })
	readAll()
	close(done)
	running.Wait()
	checkLog(t, l, map[uint64][]byte{1: leafAt(1), 50_000: leafAt(50_000)})
	closeLog(t, l)
	l.givePagesBack()
}

func TestParseMapping(t *testing.T) {
	for _, test := range []struct {
		line          string
		start, length uintptr
		path          string
	}{
		{"7f03a32a4000-7f03a32a5000 rw-s 00000000 fe:00 131 /data/a store/000001.sst", 0x7f03a32a4000, 0x1000, "/data/a store/000001.sst"},
		{"7f03a32a4000-7f03a32a5000 rw-p 00000000 00:00 0", 0, 0, ""},
		{"7f03a32a4000-7f03a32a5000 rw-p 00000000 00:00 0 [heap]", 0, 0, ""},
		{"7f03a32a5000-7f03a32a4000 rw-s 00000000 fe:00 131 /x", 0, 0, ""},
		{"x-y rw-s 00000000 fe:00 131 /x", 0, 0, ""},
		{"", 0, 0, ""},
	} {
		start, length, path := parseMapping(test.line)
		if start != test.start || length != test.length || path != test.path {
			t.Errorf("%q: %x, %x, %q; want %x, %x, %q", test.line, start, length, path, test.start, test.length, test.path)
		}
	}
}

func TestMergeWatch(t *testing.T) {
	var w mergeWatch
	for i, look := range []struct {
		newest uint64
		ended  bool
	}{{0, false}, {7, false}, {7, true}, {7, false}, {7, false}, {9, false}, {12, false}, {12, true}, {12, false}} {
		if ended := w.ended(look.newest); ended != look.ended {
			t.Errorf("look %d at table %d: %v, want %v", i, look.newest, ended, look.ended)
		}
	}
}
