//go:build slow

package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// buildLedgerWriter builds the program that keeps a ledger busy, beside the sidecar.
var buildLedgerWriter = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(binary), "ledgerwriter")
	build := exec.Command("go", "build", "-o", path, "./testdata/ledgerwriter")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the ledger's writer: %w\n%s", err, out)
	}
	return path, nil
})

// ledgerOrigin is the name of the ledgers of the tests.
const ledgerOrigin = "example.com/e2e"

// ledgerWriter is a running testdata/ledgerwriter, whose documentation has the
// lines it prints and the commands it takes.
type ledgerWriter struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	lines   chan string // what it prints, whole lines; closed at its end
	started time.Time
	alarm   *time.Timer  // kills it when it hangs
	stderr  bytes.Buffer // complete once lines is closed and it has ended
}

// startLedgerWriter starts it on the ledger in dir.
func startLedgerWriter(t *testing.T, dir string, flags ...string) *ledgerWriter {
	t.Helper()
	path, err := buildLedgerWriter()
	if err != nil {
		t.Fatal(err)
	}
	w := &ledgerWriter{lines: make(chan string, 64)}
	w.cmd = exec.Command(path, append([]string{"-dir", dir, "-origin", ledgerOrigin}, flags...)...)
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	w.cmd.Stderr = &w.stderr
	if w.stdin, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	w.started = time.Now()
	if err := w.cmd.Start(); err != nil {
		t.Fatalf("cannot start the ledger's writer: %v", err)
	}
	w.alarm = time.AfterFunc(patience, w.kill)
	go w.read(stdout)
	t.Cleanup(func() {
		if w.cmd.ProcessState == nil {
			w.kill()
			w.drain(func(ledgerLine) {})
			w.wait()
			t.Logf("a ledger writer that was still running printed:\n%s", tail(w.stderr.String()))
		}
	})
	return w
}

// read passes on the lines. What has no end is of a write that was cut short.
func (w *ledgerWriter) read(r io.Reader) {
	defer close(w.lines)
	for in := bufio.NewReader(r); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		w.lines <- strings.TrimSuffix(line, "\n")
	}
}

func (w *ledgerWriter) command(text string) {
	_, _ = io.WriteString(w.stdin, text+"\n") // it may have been killed
}

// stop has it do nothing more but end the system calls that it is in.
func (w *ledgerWriter) stop() { _ = w.cmd.Process.Signal(syscall.SIGSTOP) }

func (w *ledgerWriter) kill() { _ = w.cmd.Process.Kill() } // it may have ended

// next is the next line; false when it has ended.
func (w *ledgerWriter) next() (ledgerLine, bool) {
	text, ok := <-w.lines
	if !ok {
		return ledgerLine{}, false
	}
	w.alarm.Reset(patience)
	return parseLedgerLine(text), true
}

// until gives every line to see, up to and with the first of a kind.
func (w *ledgerWriter) until(t *testing.T, kind string, see func(ledgerLine)) ledgerLine {
	t.Helper()
	for {
		line, ok := w.next()
		if !ok {
			w.ended(t, "waiting for "+kind)
		}
		see(line)
		if line.kind == kind {
			return line
		}
	}
}

// drain gives what is left to see.
func (w *ledgerWriter) drain(see func(ledgerLine)) {
	for line, ok := w.next(); ok; line, ok = w.next() {
		see(line)
	}
}

// wait waits for its end and returns how it ended. Its lines must have been drained.
func (w *ledgerWriter) wait() *os.ProcessState {
	w.alarm.Stop()
	_ = w.cmd.Wait() // judged by the state
	return w.cmd.ProcessState
}

// ended fails the test for the writer's end.
func (w *ledgerWriter) ended(t *testing.T, during string) {
	t.Helper()
	state := w.wait()
	t.Fatalf("the ledger's writer ended (%v) while %s:\n%s", state, during, tail(w.stderr.String()))
}

// tail cuts what a process printed down to what fits in a report.
func tail(text string) string {
	const most = 3000
	if len(text) > most {
		return text[:most/2] + "\n[…]\n" + text[len(text)-most/2:]
	}
	return text
}

// refused waits for a writer that must not get far, and returns what it says.
func (w *ledgerWriter) refused(t *testing.T) string {
	t.Helper()
	w.drain(func(l ledgerLine) { t.Errorf("the writer should have been refused, and says %q", l.text) })
	if code := w.wait().ExitCode(); code != 1 {
		t.Errorf("a writer that was refused exits with %d, not 1: %s", code, tail(w.stderr.String()))
	}
	return w.stderr.String()
}

// close closes the ledger and waits for the end of the process.
func (w *ledgerWriter) close(t *testing.T, see func(ledgerLine)) {
	t.Helper()
	w.command("close")
	w.until(t, "closed", see)
	w.drain(see)
	if state := w.wait(); !state.Success() {
		t.Fatalf("the ledger's writer ended with %v after it had closed:\n%s", state, tail(w.stderr.String()))
	}
}

// ledgerLine is a line of the writer. What a kind does not have is zero.
type ledgerLine struct {
	text, kind string
	index      uint64 // of "have", "ack" and "again"; the size of "open"
	hash       tlog.Hash
	once       string // empty for none
	appended   bool   // of "again"
	rest       string // behind the kind
}

// note is what a "head" holds.
func (l ledgerLine) note(t *testing.T) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(l.rest)
	if err != nil {
		t.Fatalf("the writer says %q: %v", l.text, err)
	}
	return b
}

func parseLedgerLine(text string) ledgerLine {
	l := ledgerLine{text: text}
	l.kind, l.rest, _ = strings.Cut(text, " ")
	f := strings.Fields(l.rest)
	switch {
	case l.kind == "open" && len(f) == 2:
		l.index, l.rest = number(f[0]), f[1]
	case (l.kind == "have" || l.kind == "ack") && len(f) == 3:
		l.index, l.hash = number(f[0]), unhex(f[1])
		if f[2] != "-" {
			l.once = f[2]
		}
	case l.kind == "again" && len(f) == 4:
		l.once, l.index, l.appended, l.hash = f[0], number(f[1]), f[2] == "true", unhex(f[3])
	}
	return l
}

// number reads what the writer has printed as a number; what is none is
// larger than any log.
func number(text string) uint64 {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 1 << 63
	}
	return n
}

// unhex reads a hash; what is none is like no other.
func unhex(text string) (hash tlog.Hash) {
	_, _ = hex.Decode(hash[:], []byte(text))
	return hash
}
