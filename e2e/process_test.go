//go:build slow

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a condition. Nothing is expected to take
// anywhere near as long; it only turns a hang into a failure.
const patience = 20 * time.Second

// tool returns the path of a program, or fails saying which package has it.
func tool(t *testing.T, name, debianPackage string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed: run .ci/deps, or apt-get install %s", name, debianPackage)
	return ""
}

// process is a running child. It does not outlive the test, nor the test binary.
type process struct {
	cmd       *exec.Cmd
	done      chan struct{} // closed when it has ended
	collected chan struct{} // closed when all it printed is in output

	mu     sync.Mutex
	output bytes.Buffer // guarded by mu: what it has printed
	grown  *sync.Cond   // signalled when output grows or ends
	closed bool         // guarded by mu
}

// start runs cmd in its own process group. When the test binary dies, the
// process gets orphaned, which must be one that takes its children with it.
func start(t *testing.T, orphaned syscall.Signal, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{}), collected: make(chan struct{})}
	p.grown = sync.NewCond(&p.mu)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: orphaned}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	err = p.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatalf("cannot start %s: %v", name, err)
	}
	go p.collect(r)
	go func() {
		_ = p.cmd.Wait() // the exit is judged by ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.printed())
		}
	})
	return p
}

func (p *process) collect(r *os.File) {
	defer close(p.collected)
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		p.mu.Lock()
		p.output.WriteString(line)
		p.closed = err != nil
		p.grown.Broadcast()
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *process) printed() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// awaitLine waits until the process has printed a line with marker in it.
func (p *process) awaitLine(t *testing.T, marker string) string {
	t.Helper()
	return p.awaitLineFor(t, patience, marker)
}

// awaitLineFor is awaitLine for what takes its time.
func (p *process) awaitLineFor(t *testing.T, patience time.Duration, marker string) string {
	t.Helper()
	alarm := time.AfterFunc(patience, p.kill)
	defer alarm.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for line := range strings.Lines(p.output.String()) {
			if strings.Contains(line, marker) && strings.HasSuffix(line, "\n") {
				return strings.TrimSpace(line)
			}
		}
		if p.closed {
			t.Fatalf("%s ended without printing %q; it printed:\n%s", p.cmd.Path, marker, p.output.String())
		}
		p.grown.Wait()
	}
}

// signal sends s to the process itself.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("cannot signal %s: %v", p.cmd.Path, err)
	}
}

// kill ends the process and all it has started, and waits for it.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
	<-p.done
}

// awaitExit waits for the process to end by itself, and for all it has
// printed, and returns its exit code.
func (p *process) awaitExit(t *testing.T) int {
	t.Helper()
	alarm := time.NewTimer(patience)
	defer alarm.Stop()
	for _, ended := range []chan struct{}{p.done, p.collected} {
		select {
		case <-ended:
		case <-alarm.C:
			t.Fatalf("%s has not ended", p.cmd.Path)
		}
	}
	return p.cmd.ProcessState.ExitCode()
}

// eventually waits until ok holds, and fails the test with what otherwise.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Ports that are handed out lie below those that the kernel gives to whoever asks
// for any, which would take them before the program does that they are for.
const (
	firstPort = 20_000
	morePorts = 12_000
)

// nextPort counts the ports that were handed out, from anywhere: other tests may
// run at the same time.
var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(morePorts)) }

// freeAddress returns a loopback address nobody listens on, for programs that
// cannot choose one themselves. No address is returned twice.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range morePorts {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+int(nextPort.Add(1)%morePorts)))
		if ln, err := net.Listen("tcp", address); err == nil {
			ln.Close()
			return address
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// accepts reports whether something accepts connections at the address.
func accepts(network, address string) bool {
	conn, err := net.Dial(network, address)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// peakRSS is the largest resident set a process has had, in bytes.
func peakRSS(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal(errors.New("the kernel does not say VmHWM"))
	return 0
}
