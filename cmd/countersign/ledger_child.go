package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/ledger/verify"
)

const (
	socketName = "socket"
	childGrace = 5 * time.Second // for the child to end by itself
	maxWords   = 64 << 10

	// How long the child may take, before it is taken to hang: for a resource,
	// and for what it reads the whole store for, which it does at least so fast.
	// The first is less than verify.HTTP takes to try again.
	childPatience = 50 * time.Second
	childSpeed    = 4 << 20 // bytes a second
)

// allowance is how long a child may take.
type allowance struct{ resource, store time.Duration }

// allowanceFor is that of a child that serves so many bytes.
func allowanceFor(size uint64) allowance {
	return allowance{childPatience, childPatience + time.Duration(size/childSpeed)*time.Second}
}

// child is a process of ours that serves a copy of a store.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	said  firstWords
	inUse sync.RWMutex // of dir: a client may still dial for an answer that nobody waits for
	dir   *os.File     // where the socket is
	http  *http.Client
	ended chan struct{} // closed when it has ended
	hung  atomic.Int64  // a time.Duration: it was killed because it took longer
}

// startChild has a child serve the copy that lies in temp under a name, and
// waits until it does.
func startChild(ctx context.Context, temp, name string, a allowance) (_ *child, err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, exitError{int(verify.Internal), fmt.Errorf("cannot find this program, to start it once more: %w", err)}
	}
	k := &child{ended: make(chan struct{})}
	if k.dir, err = os.Open(temp); err != nil {
		return nil, exitError{int(verify.Internal), err}
	}
	k.cmd = exec.Command(program, "ledger", serveCopyName, "--dir", name, "--socket", socketName)
	k.cmd.Args[0] = os.Args[0]
	k.cmd.Dir, k.cmd.Stderr = temp, &k.said
	// Ctrl-C is for this process, which then ends the child.
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ready, err := k.start()
	if err != nil {
		return nil, exitError{int(verify.Internal), errors.Join(fmt.Errorf("cannot start a process to read the store: %w", err), k.dir.Close())}
	}
	k.http = &http.Client{Transport: &impatient{k, a, &http.Transport{DialContext: k.dial, MaxIdleConnsPerHost: 16}}}
	opening := k.limit(a.store)
	defer opening.Stop()
	select {
	case <-ready:
		return k, nil
	case <-ctx.Done():
		err = exitError{int(verify.Internal), errors.New("interrupted while the store was opened")}
	case <-k.ended:
		err = k.failure()
	}
	k.stop()
	return nil, err
}

// start starts the process. The channel is closed when it is ready.
func (k *child) start() (ready <-chan struct{}, err error) {
	if k.stdin, err = k.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := k.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := k.cmd.Start(); err != nil {
		return nil, err
	}
	opened := make(chan struct{})
	go func() {
		out := bufio.NewReader(stdout)
		if line, _ := out.ReadString('\n'); line == readyLine {
			close(opened)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = k.cmd.Wait() // how it went is in its state and its words
		close(k.ended)
	}()
	return opened, nil
}

// dial reaches the child. The path of a socket must be short, which that of a
// directory for temporary files need not be.
func (k *child) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	k.inUse.RLock()
	defer k.inUse.RUnlock()
	return (&net.Dialer{}).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", k.dir.Fd(), socketName))
}

func (k *child) client() *http.Client { return k.http }

// stop ends the child.
func (k *child) stop() {
	_ = k.stdin.Close()
	select {
	case <-k.ended:
	case <-time.After(childGrace):
		_ = k.cmd.Process.Kill()
		<-k.ended
	}
	k.inUse.Lock()
	defer k.inUse.Unlock()
	_ = k.dir.Close()
}

func (k *child) hasEnded() bool {
	select {
	case <-k.ended:
		return true
	default:
		return false
	}
}

// limit kills the child after some time, unless it is stopped.
func (k *child) limit(d time.Duration) *time.Timer {
	return time.AfterFunc(d, func() {
		k.hung.Store(int64(d))
		_ = k.cmd.Process.Kill()
	})
}

// failure is why a child has ended that should not have.
func (k *child) failure() exitError {
	if d := time.Duration(k.hung.Load()); d != 0 {
		return exitError{int(verify.Internal), fmt.Errorf("the process that reads the store has not answered for %v and was ended: the store is damaged or the machine too slow to tell", d)}
	}
	if k.cmd.ProcessState.ExitCode() == int(verify.Internal) {
		return exitError{int(verify.Internal), errors.New(k.lastWords())}
	}
	return exitError{int(verify.Tampered), errors.New("the store cannot be read, it is damaged: " + k.lastWords())}
}

// lastWords is what a child that has ended said of its end, in one line.
func (k *child) lastWords() string {
	var last string
	for line := range strings.Lines(k.said.String()) {
		line = strings.TrimSpace(line)
		if own, ok := strings.CutPrefix(line, "countersign: "); ok {
			return own
		}
		for _, beginning := range []string{"panic: ", "fatal error: ", "unexpected fault address", "SIG"} {
			if strings.HasPrefix(line, beginning) {
				return "Badger crashed: " + line
			}
		}
		if line != "" {
			last = line
		}
	}
	if last == "" {
		return "the process that read it ended with " + k.cmd.ProcessState.String()
	}
	return last
}

// firstWords keeps the beginning of what a process writes.
type firstWords struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *firstWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p[:min(len(p), maxWords-w.text.Len())])
	return len(p), nil
}

func (w *firstWords) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// impatient limits how long the child may take for an answer, and asks for no
// compression, which saves nothing within a machine.
type impatient struct {
	child     *child
	allowance allowance
	http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (i *impatient) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept-Encoding", "identity")
	limit := i.allowance.resource
	if r.URL.Path == auditPath {
		limit = i.allowance.store
	}
	timer := i.child.limit(limit)
	res, err := i.RoundTripper.RoundTrip(r)
	if err != nil {
		timer.Stop()
		return nil, err
	}
	res.Body = limited{res.Body, timer}
	return res, nil
}

// limited is the body of an answer, whose time ends when it is closed.
type limited struct {
	io.ReadCloser
	timer *time.Timer
}

// Close implements io.Closer.
func (l limited) Close() error {
	l.timer.Stop()
	return l.ReadCloser.Close()
}
