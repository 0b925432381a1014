//go:build slow

package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// answer is what curl received.
type answer struct {
	exit    int
	version string   // HTTP/1.1
	status  string   // "200 OK"
	headers []string // the last response's fields in order, and its trailers
	interim []string // status lines of the 1xx responses before
	body    []byte
	connect string // connections made for the command's last transfer
	stderr  string
}

// curl runs the command with --max-time well above what any answer takes.
func curl(t *testing.T, args ...string) answer {
	t.Helper()
	dir := t.TempDir()
	head, body := filepath.Join(dir, "head"), filepath.Join(dir, "body")
	cmd := exec.Command(tool(t, "curl", "curl"), append([]string{
		"--silent", "--show-error", "--max-time", "100", "--dump-header", head, "--output", body, "--write-out", "%{num_connects}",
	}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("cannot run curl: %v", err)
	}
	a := answer{exit: cmd.ProcessState.ExitCode(), connect: string(out), stderr: stderr.String()}
	a.readHead(t, head)
	if slices.Contains(args, "--head") {
		return a // curl puts the head in place of the body
	}
	if a.body, err = os.ReadFile(body); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return a
}

// readHead reads what --dump-header wrote: the heads of all responses, and
// the trailers after the last of them.
func (a *answer) readHead(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		version, status, isStatus := strings.Cut(line, " ")
		switch {
		case isStatus && strings.HasPrefix(version, "HTTP/"):
			if strings.HasPrefix(a.status, "1") {
				a.interim = append(a.interim, a.status)
			}
			a.version, a.status, a.headers = version, status, nil
		case line != "":
			a.headers = append(a.headers, line)
		}
	}
}

// header returns the value of the first field of that name.
func (a *answer) header(name string) string {
	for _, h := range a.headers {
		if k, v, _ := strings.Cut(h, ":"); strings.EqualFold(k, name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (a *answer) String() string {
	return fmt.Sprintf("exit %d, %s %s %q, %d bytes %s", a.exit, a.version, a.status, a.headers, len(a.body), a.stderr)
}

// noise returns n bytes that do not compress, the same ones every time.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b) // never fails
	return b
}
