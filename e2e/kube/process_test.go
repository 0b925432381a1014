package kube

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait for a condition. Nothing is expected to take
// anywhere near as long; it only turns a hang into a failure.
const patience = 60 * time.Second

// process is a running child that writes to a file. The kernel ends it with the
// test binary.
type process struct {
	cmd  *exec.Cmd
	log  string        // what it prints is in this file
	done chan struct{} // closed when it has ended
}

// start runs a program that writes to a log of its own in dir.
func start(dir, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = log, log, env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit is judged by ProcessState
		close(p.done)
	}()
	return p, nil
}

// kill ends the process without giving it a say.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// ended reports whether the process has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// printed is the end of what the process has written.
func (p *process) printed() string {
	const enough = 8 << 10
	log, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-enough):])
}

// awaitHealthy waits until ok holds for a process that starts.
func (p *process) awaitHealthy(name string, ok func() bool) error {
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if p.ended() {
			return fmt.Errorf("%s ended with %v; it printed:\n%s", name, p.cmd.ProcessState, p.printed())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("waited %v in vain for %s; it printed:\n%s", patience, name, p.printed())
		}
	}
	return nil
}

// eventually waits until ok holds, and fails the test with what otherwise.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
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

// freePort returns a port of 127.0.0.1 that nobody listens on. None is returned
// twice.
func freePort() (int, error) {
	for range morePorts {
		port := firstPort + int(nextPort.Add(1)%morePorts)
		if ln, err := net.Listen("tcp", local(port)); err == nil {
			ln.Close()
			return port, nil
		}
	}
	return 0, errors.New("there is no free port")
}

// local is the address of a port of this machine's.
func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
