package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// newPipe makes a named pipe that nobody reads or writes.
func newPipe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPipesAreRefused(t *testing.T) {
	pipe, data := newPipe(t), newData(t, 3)
	for _, args := range [][]string{
		{"verify", pipe},
		{"verify", "--store", data, "--since", pipe},
		{"verify", "--store", data, "--vkey", "@" + pipe},
		{"verify", "--store", data, "--policy", pipe},
		{"verify", "--store", data, "--anchor", pipe},
		{"key", "--data", data, "--ledger-key-file", pipe},
		{"checkpoint", "--data", data, "-o", pipe},
	} {
		code, stdout, stderr := command(t, append([]string{"ledger"}, args...)...)
		if code == 0 || code == int(verify.Tampered) || stdout != "" || !strings.Contains(stderr, "is not a regular file") && !strings.Contains(stderr, "nobody reads this pipe") {
			t.Errorf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	witnessed := filepath.Join(data, anchorName, verify.WitnessedPath)
	if err := os.Rename(pipe, witnessed); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := command(t, "ledger", "verify", "--store", data); code != int(verify.Incomplete) || !strings.Contains(stdout, "is not a regular file") {
		t.Errorf("a pipe as the witnessed checkpoint: exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestFilesAreReadUpToALimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readUpTo(path, 100); len(got) != 100 || err != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := readUpTo(path, 99); !errors.Is(err, verify.ErrTooLong) {
		t.Errorf("%v", err)
	}
	if err := os.Truncate(path, maxSmall+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readSmall(path); err == nil || !strings.HasSuffix(err.Error(), "has more than 1.0 MiB, far too many") {
		t.Errorf("%v", err)
	}
}

// TestASecondSignalEnds sends signals to a command that waits for a pipe to
// end, which the first one does not make it leave.
func TestASecondSignalEnds(t *testing.T) {
	program, err := exec.LookPath("countersign")
	if err != nil {
		t.Fatal(err)
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		cmd := exec.Command(program, "ledger", "verify", "/dev/stdin")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // it ends by a signal
			close(ended)
		}()
		end, again := time.After(patience), time.NewTicker(50*time.Millisecond)
		for waiting := true; waiting; {
			select {
			case <-ended:
				waiting = false
			case <-again.C:
				_ = cmd.Process.Signal(signal) // it may just have ended
			case <-end:
				t.Errorf("%v does not end it", signal)
				_ = cmd.Process.Kill()
				<-ended
				waiting = false
			}
		}
		again.Stop()
		_ = stdin.Close()
	}
}
