package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"strings"
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
