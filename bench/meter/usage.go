// Package meter reads what processes cost: processor time, context switches,
// memory, system calls. It asks the kernel, and nothing runs while a measurement
// does but the counting of system calls, which is why that is apart. It needs
// Linux.
package meter

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Set is some processes. It stays what it was when it was made: a process that
// ends makes the next reading an error, and one that begins later is not in it.
type Set struct{ pids []int }

// Of is the set of just these.
func Of(pids ...int) Set { return Set{slices.Clone(pids)} }

// Group is all processes of a process group: a server with its workers.
func Group(pgid int) (Set, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return Set{}, err
	}
	var s Set
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if of, err := unix.Getpgid(pid); err == nil && of == pgid {
			s.pids = append(s.pids, pid)
		}
	}
	if len(s.pids) == 0 {
		return Set{}, fmt.Errorf("there is no process in the group %d: what was started has ended", pgid)
	}
	return s, nil
}

// Pids are the processes of the set.
func (s Set) Pids() []int { return slices.Clone(s.pids) }

// Usage is what a set has used since its processes began, or between two
// readings.
type Usage struct {
	CPU time.Duration `json:"cpu_ns"` // of all threads, ended ones too, user and system
	// Switches of the threads that there are: Voluntary to wait for something,
	// Involuntary because the processor was wanted for another.
	Voluntary   uint64 `json:"voluntary_switches"`
	Involuntary uint64 `json:"involuntary_switches"`
}

// Since is what was used after an earlier reading.
func (u Usage) Since(earlier Usage) Usage {
	return Usage{CPU: u.CPU - earlier.CPU, Voluntary: less(u.Voluntary, earlier.Voluntary), Involuntary: less(u.Involuntary, earlier.Involuntary)}
}

// less is a-b of counters, the second of which may have had threads that are no more.
func less(a, b uint64) uint64 { return a - min(a, b) }

// Usage reads the set.
func (s Set) Usage() (sum Usage, err error) {
	for _, pid := range s.pids {
		cpu, err := processorTime(pid)
		if err != nil {
			return Usage{}, ended(pid, err)
		}
		sum.CPU += cpu
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return Usage{}, ended(pid, err)
		}
		for _, task := range tasks {
			values, err := fields(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name()))
			if err != nil {
				continue // the thread has ended since
			}
			sum.Voluntary += values["voluntary_ctxt_switches"]
			sum.Involuntary += values["nonvoluntary_ctxt_switches"]
		}
	}
	return sum, nil
}

func ended(pid int, err error) error {
	return fmt.Errorf("cannot measure process %d, which has ended or is not ours to look at: %w", pid, err)
}

// processorTime asks the process's own clock, which counts nanoseconds of all
// its threads, those that have ended too; /proc has them in ticks of 10 ms, or for
// the threads that are there. The number of the clock is what clock_getcpuclockid(3) makes.
func processorTime(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	var t unix.Timespec
	err := unix.ClockGettime(int32(^pid)<<3|scheduled, &t)
	if errors.Is(err, unix.EINVAL) {
		err = unix.ESRCH
	}
	return time.Duration(t.Nano()), err
}

// fields reads a file of lines "name: number …", in the kernel's units.
func fields(file string) (map[string]uint64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(line, ":")
		if words := strings.Fields(rest); ok && len(words) > 0 {
			if n, err := strconv.ParseUint(words[0], 10, 64); err == nil {
				values[name] = n
			}
		}
	}
	return values, nil
}
