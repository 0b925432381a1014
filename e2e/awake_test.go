//go:build slow

package e2e

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// undisturbed gives the test and what it starts from now on a processor that
// never sleeps, before everything else that wants to run there. To wake another processor of a virtual
// machine, or to wait for a neighbour, takes longer than what sensors may differ by.
func undisturbed(t *testing.T) {
	t.Helper()
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	var one unix.CPUSet
	one.Set(lastOf(&all))
	goroutines := runtime.GOMAXPROCS(1)
	t.Cleanup(func() {
		runtime.GOMAXPROCS(goroutines)
		schedule(t, &all, unix.SchedAttr{Policy: unix.SCHED_NORMAL})
	})
	schedule(t, &one, unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1})
	start(t, syscall.SIGKILL, tool(t, "chrt", "util-linux"), "--idle", "0", "sh", "-c", "while :; do :; done")
}

// handover is how long this host takes at present to hand a segment to a program that has waited
// for it as long as for an API, in milliseconds: half of the P95 of a byte's way there and back.
func handover(t *testing.T, in namespace) float64 {
	t.Helper()
	ln := in.listen(t, "127.0.0.1:0")
	serveEcho(t, ln)
	v := visit(t, in, ln.Addr().String())
	defer v.Close()
	var took times
	for range 100 {
		time.Sleep(apiDelay)
		took.add(func() {
			v.send(t, "a")
			if _, err := v.r.ReadByte(); err != nil {
				t.Fatal(err)
			}
		})
	}
	return took.p95() / 2
}

// atOnce is the words by which a program is started that runs as soon as it has something to do, before
// the test and what that has started undisturbed: whoever sends it a segment waits until it has read that.
func atOnce(t *testing.T) []string {
	t.Helper()
	return []string{tool(t, "chrt", "util-linux"), "--rr", "2"}
}

func lastOf(set *unix.CPUSet) (last int) {
	for seen, cpu := 0, 0; seen < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			seen, last = seen+1, cpu
		}
	}
	return last
}

// schedule sets where and how every thread runs. A thread that is made meanwhile has it from its
// maker, or is found in the next turn.
func schedule(t *testing.T, where *unix.CPUSet, how unix.SchedAttr) {
	t.Helper()
	how.Size = unix.SizeofSchedAttr
	for done := map[string]bool{}; ; {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		before := len(done)
		for _, thread := range threads {
			if done[thread.Name()] {
				continue
			}
			done[thread.Name()] = true
			id, err := strconv.Atoi(thread.Name())
			if err == nil {
				err = unix.SchedSetaffinity(id, where)
			}
			if err == nil {
				err = unix.SchedSetAttr(id, &how, 0)
			}
			if err != nil && err != unix.ESRCH {
				t.Fatalf("cannot put thread %d before others (CAP_SYS_NICE): %v", id, err)
			}
		}
		if len(done) == before {
			return
		}
	}
}
