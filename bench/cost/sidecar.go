package cost

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/bench/meter"
)

const (
	startTime = 30 * time.Second // for a sidecar to serve
	stopTime  = 5 * time.Second  // for it to end by itself
	keptWords = 4 << 10          // of what it says, for the error
)

// sidecar is a process in front of the API, with data of its own that goes with it.
type sidecar struct {
	listen string
	cmd    *exec.Cmd
	data   string
	ended  chan struct{}

	mu   sync.Mutex
	said []byte // the last of it
}

// startSidecar returns once it serves. It gets no settings but these: COUNTERSIGN_* variables are for other sidecars.
func startSidecar(ctx context.Context, program, upstream string, measure bool) (*sidecar, error) {
	data, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a directory for the sidecar: %w", err)
	}
	s := &sidecar{data: data, ended: make(chan struct{})}
	s.cmd = exec.Command(program, "run", "--upstream", "http://"+upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--data", data, "--measure="+strconv.FormatBool(measure))
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "COUNTERSIGN_") })
	// Ctrl-C is for this process, which then stops it. It must not outlive this one however it ends.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.start(stderr)
	}
	if err != nil {
		_ = os.RemoveAll(data)
		return nil, fmt.Errorf("cannot start a sidecar: %w", err)
	}
	if err := s.await(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// start has a thread that does nothing else be the parent: it is a parent's thread whose end the kernel reports.
func (s *sidecar) start(stderr io.Reader) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			defer close(s.ended)
			s.listenTo(stderr)
			_ = s.cmd.Wait() // how it ended is not asked
		}
	}()
	return <-started
}

// listenTo keeps the last of what it says.
func (s *sidecar) listenTo(stderr io.Reader) {
	lines := bufio.NewReader(stderr)
	for {
		line, err := lines.ReadSlice('\n')
		s.mu.Lock()
		s.said = append(s.said, line...)
		s.said = s.said[max(0, len(s.said)-keptWords):]
		s.mu.Unlock()
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (s *sidecar) words() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.said)
}

// await waits until it says where it listens.
func (s *sidecar) await(ctx context.Context) error {
	serving := regexp.MustCompile(`msg=serving listen=(\S+)`)
	limit := time.After(startTime)
	for {
		if found := serving.FindStringSubmatch(s.words()); found != nil {
			s.listen = found[1]
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ended:
			return fmt.Errorf("the sidecar ended by itself: %s", s.words())
		case <-limit:
			return fmt.Errorf("the sidecar did not serve within %v: %s", startTime, s.words())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// stop ends it and removes its data.
func (s *sidecar) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(stopTime):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	_ = os.RemoveAll(s.data)
}

// cpu is the processor time that it has had.
func (s *sidecar) cpu() (time.Duration, error) {
	used, err := meter.Of(s.cmd.Process.Pid).Usage()
	if err != nil {
		return 0, s.lost(err)
	}
	return used.CPU, nil
}

// memory is the most that was resident of it, in bytes.
func (s *sidecar) memory() (uint64, error) {
	taken, err := meter.Of(s.cmd.Process.Pid).Memory()
	if err != nil {
		return 0, s.lost(err)
	}
	return taken.Peak, nil
}

// lost says why it cannot be measured, which is mostly that it is gone.
func (s *sidecar) lost(err error) error {
	return fmt.Errorf("cannot measure the sidecar: %w; it said: %s", err, s.words())
}
