//go:build slow

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger"
)

// A log of a damaged store is opened in a child process, as Badger can end the
// process over one, or ask for all memory there is. The child is this binary
// again, which opens one directory after the other.

const (
	openerVariable = "COUNTERSIGN_TEST_OPENER"
	openerMark     = "opened: "
	openerMemory   = 1 << 30 // bytes that the child may ask for, many times what a ledger needs
)

// openRequest is a log to open.
type openRequest struct{ Dir, Anchor string }

// openAnswer is what came of it.
type openAnswer struct {
	Opened    bool
	Size      uint64
	Root      string // base64
	Error     string
	Integrity bool // the error is an *IntegrityError
	Index     int64
	Rollback  bool
}

// TestTamperOpener is the child. It does nothing when it is run as a test.
func TestTamperOpener(t *testing.T) {
	if os.Getenv(openerVariable) == "" {
		return
	}
	_ = unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: openerMemory, Max: openerMemory}) // a help, no condition
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var request openRequest
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			t.Fatal(err)
		}
		answer, err := json.Marshal(openLedger(request))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s%s\n", openerMark, answer)
	}
}

// openLedger opens a log and closes it.
func openLedger(request openRequest) openAnswer {
	log, err := ledger.Open(context.Background(), ledger.Options{
		Dir: request.Dir, AnchorDir: request.Anchor, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return tamperTime },
	})
	if err != nil {
		answer := openAnswer{Error: err.Error(), Index: -1}
		if damage, ok := errors.AsType[*ledger.IntegrityError](err); ok {
			answer.Integrity, answer.Index, answer.Rollback = true, damage.Index, damage.Rollback
		}
		return answer
	}
	c := log.Checkpoint()
	answer := openAnswer{Opened: true, Size: c.Size, Root: base64.StdEncoding.EncodeToString(c.Root[:])}
	if err := log.Close(); err != nil {
		answer.Error = err.Error()
	}
	return answer
}

// opener is the child, from its parent's side. It is used by one goroutine.
type opener struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	words lockedBuffer // what it has said of its end
}

// lockedBuffer is a buffer that two goroutines may use.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func startOpener() (*opener, error) {
	o := &opener{cmd: exec.Command(os.Args[0], "-test.run=^TestTamperOpener$")}
	o.cmd.Env = append(os.Environ(), openerVariable+"=1")
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	o.cmd.Stderr = &o.words
	var err error
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.out = bufio.NewReader(out)
	return o, o.cmd.Start()
}

// open has the child open a log. The error says how the child ended over it.
func (o *opener) open(request openRequest) (openAnswer, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return openAnswer{}, err
	}
	alarm := time.AfterFunc(tamperPatience, func() { _ = o.cmd.Process.Kill() }) // it may have ended
	defer alarm.Stop()
	if _, err := fmt.Fprintf(o.in, "%s\n", text); err != nil {
		return openAnswer{}, o.failure()
	}
	for {
		line, err := o.out.ReadString('\n')
		if err != nil {
			return openAnswer{}, o.failure()
		}
		if answer, ok := strings.CutPrefix(line, openerMark); ok {
			var a openAnswer
			return a, json.Unmarshal([]byte(answer), &a)
		}
	}
}

// failure is how the child ended.
func (o *opener) failure() error {
	o.stop()
	words := o.words.String()
	return fmt.Errorf("opening the log ends the process, %v: %s", o.cmd.ProcessState, words[:min(len(words), 600)])
}

func (o *opener) stop() {
	_ = o.in.Close()
	_ = o.cmd.Wait() // how it went is in its state
}
