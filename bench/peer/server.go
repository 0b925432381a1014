package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/bench/meter"
)

// Server is a peer that runs: a process group, which does not outlive this process.
type Server struct {
	Name   string
	Addr   string // HOST:PORT; empty for what is not asked anything
	Log    string // the file it writes requests to; empty if it writes none
	Inside *Namespace

	cmd     *exec.Cmd
	log     *os.File // Log, as the process has it for its standard output; nil if it writes none
	printed string   // the file with what it has printed
	ended   chan struct{}
	status  error // why it ended; read it when ended is closed
}

// patience bounds every wait. Nothing is expected to take anywhere near as long.
const patience = 20 * time.Second

// launch starts a process in a group of its own. What it prints goes to a file, which is its log of requests if it
// was not told to write one elsewhere.
func (b *Bench) launch(ctx context.Context, name, listen string, line commandLine) (*Server, error) {
	out, err := os.CreateTemp(b.Dir, name+"-*.out")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	errOut := out
	s := &Server{Name: name, Addr: listen, Log: line.log, Inside: b.Inside, printed: out.Name(), ended: make(chan struct{})}
	if line.log != "" {
		// HAProxy writes its log to standard output; the others find the file theirs.
		log, err := os.OpenFile(line.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return nil, err
		}
		out, s.log = log, log
	}
	// When the run is broken off it is stopped like at the end of one, with all it has started.
	s.cmd = b.Inside.Command(context.WithoutCancel(ctx), line.words[0], line.words[1:]...)
	s.cmd.Env = append(os.Environ(), line.env...)
	s.cmd.Stdout, s.cmd.Stderr = out, errOut
	// SIGTERM, as a master process takes its workers along then.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot start %s: %w", name, err), s.closeLog())
	}
	go func() {
		s.status = errors.Join(s.cmd.Wait(), s.closeLog())
		close(s.ended)
	}()
	return s, nil
}

// Processes are those of the server now.
func (s *Server) Processes() (meter.Set, error) { return meter.Group(s.cmd.Process.Pid) }

// TrimLog empties the log of requests.
func (s *Server) TrimLog() error {
	if s.Log == "" {
		return nil
	}
	return os.Truncate(s.Log, 0)
}

// awaitLog waits for the line of a request that was answered, and has what is written from then on appended. It was
// opened so, but HAProxy sets the flags of its standard output anew with its first line, to O_NONBLOCK alone; then it
// would write on behind what TrimLog takes away, and leave a hole.
func (s *Server) awaitLog(ctx context.Context) error {
	if s.Log == "" {
		return nil
	}
	err := s.await(ctx, time.Millisecond, "it logged a request", func() bool {
		info, err := os.Stat(s.Log)
		return err == nil && info.Size() > 0
	})
	if err != nil {
		return err
	}
	_, err = unix.FcntlInt(s.log.Fd(), unix.F_SETFL, unix.O_APPEND|unix.O_NONBLOCK)
	return err
}

func (s *Server) closeLog() error {
	if s.log == nil {
		return nil
	}
	return s.log.Close()
}

// Stop ends it and all it has started, and waits.
func (s *Server) Stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.ended:
	case <-time.After(patience):
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("cannot stop %s: %w", s.Name, err)
	}
	<-s.ended
	return nil
}

// await polls until ok says yes, the server ends, or patience does.
func (s *Server) await(ctx context.Context, every time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for !ok() {
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended (%v) before %s; it printed:\n%s", s.Name, s.status, what, s.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: waited in vain until %s: %w; it printed:\n%s", s.Name, what, ctx.Err(), s.tail())
		case <-time.After(every):
		}
	}
	return nil
}

func (s *Server) awaitAnswer(ctx context.Context) error {
	client := s.Client()
	client.Timeout = patience
	return s.await(ctx, 200*time.Microsecond, "it answered", func() bool { return answers(ctx, client, s.Addr) })
}

func answers(ctx context.Context, client *http.Client, addr string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/", nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusOK
}

// Client asks from the server's namespace.
func (s *Server) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: s.Inside.Dial, DisableCompression: true, DisableKeepAlives: true}}
}

func (s *Server) awaitPrinted(ctx context.Context, marker string) error {
	return s.await(ctx, 10*time.Millisecond, fmt.Sprintf("it said %q", marker), func() bool { return strings.Contains(s.output(), marker) })
}

// printedAddress waits for a first line, which is an address.
func (s *Server) printedAddress(ctx context.Context) (addr string, err error) {
	err = s.await(ctx, time.Millisecond, "it printed its address", func() bool {
		line, _, whole := strings.Cut(s.output(), "\n")
		addr = line
		return whole
	})
	return addr, err
}

func (s *Server) output() string {
	text, err := os.ReadFile(s.printed)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// tail is the end of what it has printed.
func (s *Server) tail() string {
	const most = 2000
	text := s.output()
	return text[max(0, len(text)-most):]
}

// FirstAnswer starts a peer and says how long after that it answered first. The peer is ended again.
func (b *Bench) FirstAnswer(ctx context.Context, name, upstream string) (time.Duration, error) {
	listen, err := freeAddress()
	if err != nil {
		return 0, err
	}
	line, err := b.line(name, upstream, listen)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	s, err := b.launch(ctx, name, listen, line)
	if err != nil {
		return 0, err
	}
	err = s.awaitAnswer(ctx)
	took := time.Since(begin)
	return took, errors.Join(err, s.Stop())
}

// Ports that are handed out lie below those that the kernel gives to whoever asks
// for any, which would take them before the program does that they are for.
const (
	firstPort = 20_000
	morePorts = 12_000
)

// nextPort counts the ports that were handed out, from anywhere: others may run at the same time.
var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(morePorts)) }

// freeAddress returns a loopback address nobody listens on. No address is returned twice.
func freeAddress() (string, error) {
	for range morePorts {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+int(nextPort.Add(1)%morePorts)))
		if ln, err := net.Listen("tcp", address); err == nil {
			return address, ln.Close()
		}
	}
	return "", errors.New("there is no free port from 20000 to 31999")
}
