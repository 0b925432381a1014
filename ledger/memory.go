package ledger

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
	"golang.org/x/sys/unix"
)

// memoryPause is the time between two looks at what memory can be given back.
// Badger keeps buffers for half of it after a merge.
const memoryPause = 30 * time.Second

// keepSmall gives memory back until the log is closed: the pages of tables at
// every look, and what the heap no longer needs once after merges have ended.
// The runtime would keep that for many minutes, and a process with a ledger
// should be as small after a busy hour as before it.
func (l *Log) keepSmall() {
	pause := time.NewTicker(memoryPause)
	defer pause.Stop()
	var merges mergeWatch
	for {
		if merges.ended(l.givePagesBack()) {
			debug.FreeOSMemory()
		}
		select {
		case <-pause.C:
		case <-l.closing:
			return
		}
	}
}

// mergeWatch tells when Badger has ended to merge tables, from the number of
// the newest table, which only grows.
type mergeWatch struct {
	seen uint64 // at the last look
	told uint64 // when it was last said that merging has ended
}

// ended says once, after tables were made, that none were since the last look.
func (w *mergeWatch) ended(newest uint64) bool {
	quiet := newest == w.seen && newest != w.told
	w.seen = newest
	if quiet {
		w.told = newest
	}
	return quiet
}

// givePagesBack takes the store's tables out of what counts as this process's
// memory, and returns the number of the newest. Badger maps them, so that every
// part once read counts until the kernel needs the space; they stay in its
// cache, and what is read again is mapped again. Where the mappings are not to
// be found, or the log is closed, it does nothing.
func (l *Log) givePagesBack() (newest uint64) {
	if l.acquire() != nil {
		return 0
	}
	defer l.release()
	// An address must not be given away while Badger unmaps it: something else
	// could be there by then. Badger keeps the tables that an iterator can
	// reach, and those listed before and after one was made are such.
	before, newest := tableFiles(l.rows.db)
	txn := l.rows.db.NewTransaction(false)
	defer txn.Discard()
	pin := txn.NewIterator(badger.IteratorOptions{})
	defer pin.Close()
	after, _ := tableFiles(l.rows.db)

	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return newest
	}
	defer maps.Close()
	dir, err := filepath.Abs(l.options.storeDir())
	if err != nil {
		return newest
	}
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		start, length, path := parseMapping(lines.Text())
		if name := filepath.Base(path); filepath.Dir(path) == dir && before[name] && after[name] {
			// On a shared mapping of a file this loses nothing.
			unix.Syscall(unix.SYS_MADVISE, start, length, unix.MADV_DONTNEED)
		}
	}
	return newest
}

// tableFiles names the files of the store's tables. To list them touches a page of each.
func tableFiles(db *badger.DB) (files map[string]bool, newest uint64) {
	files = make(map[string]bool)
	for _, t := range db.Tables() {
		files[filepath.Base(table.NewFilename(t.ID, ""))] = true
		newest = max(newest, t.ID)
	}
	return files, newest
}

// parseMapping reads a line of /proc/self/maps; path is empty when it is not
// the mapping of a file. See proc_pid_maps(5).
func parseMapping(line string) (start, length uintptr, path string) {
	fields := strings.Fields(line)
	if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") {
		return 0, 0, ""
	}
	from, to, _ := strings.Cut(fields[0], "-")
	low, err := strconv.ParseUint(from, 16, 64)
	if err != nil {
		return 0, 0, ""
	}
	high, err := strconv.ParseUint(to, 16, 64)
	if err != nil || high <= low {
		return 0, 0, ""
	}
	return uintptr(low), uintptr(high - low), line[strings.Index(line, fields[5]):]
}
