package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// newData makes a data directory with a ledger of some entries.
func newData(t *testing.T, entries int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	l, err := ledger.Open(t.Context(), ledger.Options{Dir: dir, Origin: scriptOrigin, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	var all []ledger.Entry
	for i := range entries {
		all = append(all, ledger.Entry{Leaf: fmt.Appendf(nil, `{"kind":"test.entry","n":%d,"text":%q}`, i, strings.Repeat("x", 100))})
	}
	if _, err := l.Append(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// command runs the built command line with a directory of its own for
// temporary files, which must be empty afterwards.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	program, err := exec.LookPath("countersign") // testscript.Main has put it there
	if err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	cmd := exec.Command(program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	if _, ok := errors.AsType[*exec.ExitError](cmd.Run()); ok != (cmd.ProcessState.ExitCode() != 0) {
		t.Fatal("the command could not be run")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left among the temporary files: %v, %v", left, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestDamagedStores shows that no damage ends the command otherwise than with
// a verdict, and that nothing is left behind.
func TestDamagedStores(t *testing.T) {
	sound := newData(t, 2000)
	damages := map[string]func([]byte) []byte{
		"removed":   nil,
		"emptied":   func([]byte) []byte { return nil },
		"cut short": func(b []byte) []byte { return b[:len(b)/2] },
		"a page zeroed": func(b []byte) []byte {
			clear(b[:min(len(b), 4096)])
			return b
		},
		"overwritten": func(b []byte) []byte {
			for i := range b[:min(len(b), 1<<20)] {
				b[i] = byte(i*7 + i>>8)
			}
			return b
		},
	}
	files, err := os.ReadDir(filepath.Join(sound, storeName))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if file.Name() == "DISCARD" {
			continue // Badger's own count of what could be thrown away
		}
		for name, damage := range damages {
			data := t.TempDir()
			if err := os.CopyFS(data, os.DirFS(sound)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(data, storeName, file.Name())
			if damage == nil {
				err = os.Remove(path)
			} else {
				var content []byte
				if content, err = os.ReadFile(path); err == nil {
					err = os.WriteFile(path, damage(content), 0o600)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := command(t, "ledger", "verify", "--store", data)
			verdict, _, _ := strings.Cut(stdout, "\n")
			word, _, _ := strings.Cut(verdict, " ")
			if word != verify.Code(code).String() || stderr != "" {
				t.Errorf("%s %s: exit code %d\n%s%s", file.Name(), name, code, stdout, stderr)
			}
			// The entries are in the tables; the other files may be made anew.
			if code == 0 && strings.HasSuffix(file.Name(), ".sst") {
				t.Errorf("%s %s: not detected", file.Name(), name)
			}
		}
	}
}

func TestAChildThatIsKilled(t *testing.T) {
	for name, kill := range map[string]func(*child){
		"killed":   func(k *child) { _ = k.cmd.Process.Signal(syscall.SIGKILL) },
		"crashed":  func(k *child) { _ = k.cmd.Process.Signal(syscall.SIGABRT) },
		"finished": func(k *child) { _ = k.stdin.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			s := openTestStore(t, newData(t, 300))
			kill(s.child)
			<-s.child.ended
			report := s.verify(t.Context(), nil, verify.Options{})
			if report.Code != verify.Tampered || !strings.HasPrefix(report.Problem.Text, "the store cannot be read, it is damaged: ") {
				t.Errorf("%s: %v", report.Verdict, report.Problem)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

func TestAChildThatHangs(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := openTestStore(t, newData(t, 300))
	s.child.http.Transport.(*impatient).allowance = allowance{10 * time.Millisecond, 10 * time.Millisecond}
	if err := s.child.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	report := s.verify(t.Context(), nil, verify.Options{})
	if report.Code != verify.Internal || !strings.Contains(report.Problem.Text, "has not answered for 10ms and was ended") {
		t.Errorf("%s: %v", report.Verdict, report.Problem)
	}
	if _, err := s.Get(t.Context(), verify.CheckpointPath, verify.MaxCheckpoint); exitCode(err) != int(verify.Internal) {
		t.Errorf("of a child that was ended: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAChildThatDoesNotBegin(t *testing.T) {
	name := os.Args[0]
	os.Args[0] = "countersign"
	defer func() { os.Args[0] = name }()
	_, err := startChild(t.Context(), t.TempDir(), storeName, allowance{1, 1})
	if exitCode(err) != int(verify.Internal) || !strings.Contains(err.Error(), "has not answered") {
		t.Errorf("%v", err)
	}
}

func TestAllowanceOfAChild(t *testing.T) {
	if p := allowanceFor(40 << 30); p.resource != childPatience || p.store < time.Hour || p.store > 4*time.Hour {
		t.Errorf("%v", p)
	}
}

// TestAClosedTerminalLeavesNothing ends a command by each of the signals to end
// while it has a copy of a store.
func TestAClosedTerminalLeavesNothing(t *testing.T) {
	program, err := exec.LookPath("countersign")
	if err != nil {
		t.Fatal(err)
	}
	// Below nohup the signal would be ignored, and so by what is started here.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	data := newData(t, 3)
	for _, end := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM, os.Interrupt} {
		temp := t.TempDir()
		cmd := exec.Command(program, "ledger", "show", "--follow", "--store", data)
		cmd.Env = append(os.Environ(), "TMPDIR="+temp)
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Error(err)
		}
		if copied, err := os.ReadDir(temp); err != nil || len(copied) != 1 {
			t.Errorf("while it runs there are %v, %v", copied, err)
		}
		if err := cmd.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", end, err)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("%v leaves %v, %v", end, left, err)
		}
	}
}

func TestAnInterruptIsNoDamage(t *testing.T) {
	s := openTestStore(t, newData(t, 300))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if report := s.verify(ctx, nil, verify.Options{}); report.Code != verify.Internal {
		t.Errorf("%s: %v", report.Verdict, report.Problem)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	c, _, _ := captured(t, ledgerVerifyCommand())
	if _, err := openStore(ctx, c, newData(t, 1)); exitCode(err) != int(verify.Internal) || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("%v", err)
	}
}

// openTestStore opens a store by the child that the test binary is when it is
// called countersign.
func openTestStore(t *testing.T, data string) *storeCopy {
	t.Helper()
	name := os.Args[0]
	os.Args[0] = "countersign"
	defer func() { os.Args[0] = name }()
	c, _, _ := captured(t, ledgerVerifyCommand())
	s, err := openStore(t.Context(), c, data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func exitCode(err error) int {
	coded, _ := errors.AsType[exitError](err)
	return coded.code
}

func TestLastWords(t *testing.T) {
	for said, want := range map[string]string{
		"countersign: the ledger is damaged: no\n":                         "the ledger is damaged: no",
		"panic: index out of range\n\ngoroutine 1 [running]:\nmain.main()": "Badger crashed: panic: index out of range",
		"fatal error: out of memory\nmore":                                 "Badger crashed: fatal error: out of memory",
		"unexpected fault address 0x1\nfatal error: fault":                 "Badger crashed: unexpected fault address 0x1",
		"one\ntwo\n\n": "two",
		"":             "the process that read it ended with signal: killed",
	} {
		k := &child{cmd: exec.Command("sleep", "60")}
		if err := k.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = k.cmd.Process.Kill()
		_ = k.cmd.Wait()
		if _, err := k.said.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		if got := k.lastWords(); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	var w firstWords
	for range 100 {
		if n, err := w.Write(make([]byte, 1000)); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
	}
	if len(w.String()) != maxWords {
		t.Errorf("%d bytes are kept", len(w.String()))
	}
}
