package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupLimit is where Linux says how much memory the container may use.
const cgroupLimit = "/sys/fs/cgroup/memory.max"

// limitMemory has the garbage collector work harder when the container's
// limit, which stands in file, comes near, instead of being killed there.
// GOMEMLIMIT in the environment goes before it.
func limitMemory(file string) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	// The file says "max" where there is no limit.
	if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}

// collectOften trades a little processor time for memory: garbage may be a
// quarter of what is in use, not as much again. Proxying makes next to none. GOGC in the
// environment goes before it.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// useOneProcessor spares a sidecar through which no traffic passes what it costs to
// wake several for little work, and leaves the others to the API. GOMAXPROCS in the
// environment goes before it.
func useOneProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// returnStartPages has the kernel take back the memory, and the pages of the
// binary, that nothing needs any more: half of what is resident once all parts are
// made, the probe's programs above all, before the ledger takes its share; and
// again as much once the ledger has been read. What is used again is mapped again
// from the page cache. Linux only; elsewhere, and when anything is unusual, it does
// nothing.
func returnStartPages() {
	debug.FreeOSMemory()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer smaps.Close()
	for _, m := range cleanMappings(smaps, exe) {
		// The pages of a read-only mapping that is as the file is can be read again.
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.start, m.end-m.start, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ start, end uintptr }

// cleanMappings finds in the text of /proc/self/smaps the mappings of a file
// that are read-only and hold no page that differs from the file, as the
// relocated ones of a position-independent binary do.
func cleanMappings(smaps io.Reader, file string) (clean []mapping) {
	var at mapping
	ours := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			ours = len(fields) >= 6 && strings.Join(fields[5:], " ") == file && !strings.Contains(fields[1], "w")
			if _, err := fmt.Sscanf(fields[0], "%x-%x", &at.start, &at.end); err != nil {
				ours = false
			}
		case ours && len(fields) == 3 && fields[0] == "Anonymous:":
			if fields[1] == "0" {
				clean = append(clean, at)
			}
			ours = false
		}
	}
	return clean
}
