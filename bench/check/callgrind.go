package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/countersign-dev/countersign/bench/machine"
)

// collected is what callgrind says at its end.
var collected = regexp.MustCompile(`Collected *: *(\d+)`)

// instructions counts those of operations under valgrind's callgrind, which come
// out the same but for what depends on a random seed.
func instructions(ctx context.Context, dir, _ string, _, now *Baseline) error {
	program := filepath.Join(dir, "instructions")
	build := exec.CommandContext(ctx, machine.Go(), "build", "-o", program, module+"bench/check/instructions")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("bench/check/instructions does not build: %w: %s", err, out)
	}
	list, err := exec.CommandContext(ctx, program).Output()
	if err != nil {
		return fmt.Errorf("bench/check/instructions does not say what it can do: %w", err)
	}
	operations := strings.Fields(string(list))
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		for _, op := range operations {
			now.left[instructionsOf(op)] = "valgrind is not installed (Debian: valgrind)"
		}
		return nil
	}
	var mu sync.Mutex
	var failed error
	var running sync.WaitGroup
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	for _, op := range operations {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			n, err := each(ctx, valgrind, program, op)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			now.Figures[instructionsOf(op)] = Figure{Instructions, n}
		})
	}
	running.Wait()
	return failed
}

func instructionsOf(op string) string { return "instructions of " + op }

// enough is how many instructions an operation's repetitions should add up to, so
// that what the runtime does beside them, some ten thousand, says nothing.
const enough = 40_000_000

// How many repetitions are tried, and by how much their number grows at most: with
// few of a cheap operation, what the runtime does beside them may be all that is seen.
const (
	fewest = 100
	most   = 100_000_000
	growth = 20
)

// each is how many instructions an operation takes: the difference between doing it
// once and often, which has nothing of how the program starts. The cheaper it is, the
// oftener: what happens every few hundred times is then in it too.
func each(ctx context.Context, valgrind, program, op string) (float64, error) {
	once, err := callgrind(ctx, valgrind, program, op, 1)
	if err != nil {
		return 0, err
	}
	for times := int64(fewest); times <= most; {
		often, err := callgrind(ctx, valgrind, program, op, 1+times)
		if err != nil {
			return 0, err
		}
		seen := often - once
		if seen >= enough/2 {
			return math.Round(float64(seen) / float64(times)), nil
		}
		times = next(times, seen)
	}
	return 0, fmt.Errorf("%s does next to nothing: callgrind sees no difference between doing it once and %d times", op, most)
}

// next is how often to try after that many instructions were seen: as often as it
// takes by these, at least twice as often.
func next(times, seen int64) int64 {
	wanted := growth * times
	if seen > 0 {
		wanted = min(wanted, times*enough/seen)
	}
	return max(2*times, wanted)
}

// callgrind counts what happens in a whole run of the program. Neither garbage
// collection nor the scheduler's preemption comes in between, as they come by the
// clock.
func callgrind(ctx context.Context, valgrind, program, op string, times int64) (int64, error) {
	run := exec.CommandContext(ctx, valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", program, op, strconv.FormatInt(times, 10))
	run.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=off", "GODEBUG=asyncpreemptoff=1")
	out, err := run.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("callgrind of %s failed: %w: %s", op, err, out)
	}
	m := collected.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("callgrind of %s does not say what it collected: %s", op, out)
	}
	return strconv.ParseInt(string(m[1]), 10, 64)
}
