// Package machine says where and when something was measured: the machine, the programs' versions, and how much of
// the machine others had meanwhile. What it cannot find out it leaves empty. It needs Linux.
package machine

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Machine is where it was measured.
type Machine struct {
	CPU         string  `json:"cpu"`
	Processors  int     `json:"processors"`
	MemoryMiB   uint64  `json:"memory_mib"`
	Kernel      string  `json:"kernel"`
	System      string  `json:"system"`
	Virtual     bool    `json:"virtual"`
	ClockSource string  `json:"clock_source"`
	LoadBefore  float64 `json:"load_before"` // runnable processes, mean of the last minute before it began
	// StolenPercent is the share of the processors that the host gave to other machines meanwhile (steal).
	StolenPercent float64 `json:"stolen_percent"`
	KeptAwake     bool    `json:"kept_awake"` // idle processors were kept from the host
}

// Describe reads what the kernel says of itself.
func Describe() Machine {
	m := Machine{Processors: runtime.NumCPU(), ClockSource: firstLine("/sys/devices/system/clocksource/clocksource0/current_clocksource")}
	info := contents("/proc/cpuinfo")
	m.CPU = value(info, "model name", ":")
	m.Virtual = strings.Contains(value(info, "flags", ":"), "hypervisor")
	m.System = strings.Trim(value(contents("/etc/os-release"), "PRETTY_NAME", "="), `"`)
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	if words := strings.Fields(value(contents("/proc/meminfo"), "MemTotal", ":")); len(words) > 0 {
		kib, _ := strconv.ParseUint(words[0], 10, 64) // 0 says as much as an error would
		m.MemoryMiB = kib >> 10
	}
	if words := strings.Fields(contents("/proc/loadavg")); len(words) > 0 {
		m.LoadBefore, _ = strconv.ParseFloat(words[0], 64)
	}
	return m
}

// ticks is all time of the processors so far, and how much of it others had.
type ticks struct{ all, stolen float64 }

func readTicks() (t ticks) {
	words := strings.Fields(firstLine("/proc/stat"))
	for i, word := range words {
		// user nice system idle iowait irq softirq steal; guests are in user already.
		n, err := strconv.ParseFloat(word, 64)
		if err != nil || i > 8 {
			continue
		}
		t.all += n
		if i == 8 {
			t.stolen = n
		}
	}
	return t
}

// stolenSince is a share in per cent.
func (t ticks) stolenSince(earlier ticks) float64 {
	if t.all <= earlier.all {
		return 0
	}
	return 100 * (t.stolen - earlier.stolen) / (t.all - earlier.all)
}

// contents is a small file, or nothing.
func contents(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(contents(path), "\n")
	return line
}

// value is what the first line of a name says.
func value(text, name, separator string) string {
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(line, separator); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
