package meter

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What the test's processes are: copies of this program that do as they are told.
func TestMain(m *testing.M) {
	if task := os.Getenv("METER_TASK"); task != "" {
		tasks[task]()
		return
	}
	os.Exit(m.Run())
}

const calls = 5000

var tasks = map[string]func(){
	// idle waits until its input ends.
	"idle": func() { _, _ = io.Copy(io.Discard, os.Stdin) },
	// call makes system calls whenever it gets a line, and answers when it has.
	"call": func() {
		in := bufio.NewReader(os.Stdin)
		for {
			if _, err := in.ReadString('\n'); err != nil {
				return
			}
			for range calls {
				unix.Getppid()
			}
			os.Stdout.WriteString("done\n")
		}
	},
	// burn uses 200 ms of processor time on a thread that ends, and answers.
	"burn": func() {
		done := make(chan struct{})
		go func() {
			runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
			defer close(done)
			for {
				var t unix.Timespec
				if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil || t.Nano() > int64(burnt) {
					return
				}
			}
		}()
		<-done
		os.Stdout.WriteString("done\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
	},
}

const burnt = 200 * time.Millisecond

type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startChild runs a task; group is the process group to join, 0 for one of its own.
func startChild(t *testing.T, task string, group int) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), "METER_TASK="+task)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: group}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.end() })
	return c
}

func (c *child) end() {
	c.in.Close()
	_ = c.cmd.Wait() // it may have been waited for
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// answer waits for the child's next line.
func (c *child) answer(t *testing.T) {
	t.Helper()
	alarm := time.AfterFunc(20*time.Second, func() { _ = c.cmd.Process.Kill() })
	defer alarm.Stop()
	if line, err := c.out.ReadString('\n'); line != "done\n" {
		t.Fatalf("the child said %q: %v", line, err)
	}
}

func TestUsage(t *testing.T) {
	c := startChild(t, "burn", 0)
	c.answer(t)
	used, err := Of(c.pid()).Usage()
	if err != nil {
		t.Fatal(err)
	}
	if used.CPU < burnt || used.CPU > 10*burnt {
		t.Errorf("%v of processor time were read, %v were used by a thread that has ended", used.CPU, burnt)
	}
	if used.Voluntary == 0 {
		t.Error("a process that waits has not one voluntary switch")
	}
	again, err := Of(c.pid()).Usage()
	if err != nil {
		t.Fatal(err)
	}
	if d := again.Since(used); d.CPU < 0 || d.CPU > burnt/2 {
		t.Errorf("at rest %v of processor time were used", d.CPU)
	}
}

func TestGroup(t *testing.T) {
	first := startChild(t, "idle", 0)
	second := startChild(t, "idle", first.pid())
	other := startChild(t, "idle", 0)
	set, err := Group(first.pid())
	if err != nil {
		t.Fatal(err)
	}
	pids := set.Pids()
	if len(pids) != 2 || !(slices.Contains(pids, first.pid()) && slices.Contains(pids, second.pid())) || slices.Contains(pids, other.pid()) {
		t.Errorf("the group of %d and %d is %v", first.pid(), second.pid(), pids)
	}
	second.end()
	if _, err := set.Usage(); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("a process has ended, and the error is %v", err)
	}
	first.end()
	if _, err := Group(first.pid()); err == nil {
		t.Error("a group without a process is one")
	}
}

func TestMemory(t *testing.T) {
	page := make([]byte, 32<<20)
	for i := range page {
		page[i] = 1
	}
	own, err := Of(os.Getpid()).Memory()
	if err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(page)
	if own.Resident < 32<<20 || own.Proportional < 32<<20 || own.Peak < own.Resident {
		t.Errorf("%+v, with 32 MiB written", own)
	}
	if own.Proportional > own.Resident {
		t.Errorf("what is shared out, %d, is more than what is there, %d", own.Proportional, own.Resident)
	}
}

func TestSyscalls(t *testing.T) {
	c, err := CountSyscalls()
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	counted, beside := startChild(t, "call", 0), startChild(t, "call", 0)
	set := Of(counted.pid())
	if _, err := c.Read(set); err == nil {
		t.Error("a process that nobody watches has a count")
	}
	for range 2 { // the second time it begins at nothing again
		if err := c.Watch(set); err != nil {
			t.Fatal(err)
		}
		for _, child := range []*child{counted, beside} {
			if _, err := child.in.Write([]byte("go\n")); err != nil {
				t.Fatal(err)
			}
			child.answer(t)
		}
		n, err := c.Read(set)
		if err != nil {
			t.Fatal(err)
		}
		// The rest is reading the line, writing the answer, and what the runtime does meanwhile.
		if n < calls || n > calls+500 {
			t.Errorf("%d system calls were counted, %d were made and a few more", n, calls)
		}
	}
}
