//go:build slow

package e2e

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const gibibyte = 1 << 30

// TestGibibyte sends one through the sidecar in each direction: what arrives
// is what was sent, and the sidecar's memory does not grow with it.
func TestGibibyte(t *testing.T) {
	n := startNginx(t, "", "sendfile on;")
	file := filepath.Join(n.dir, "www", "gibibyte.bin")
	want := writeNoise(t, file, gibibyte)
	for _, c := range []struct {
		name  string
		flags []string
		path  string // what nginx stored; empty for a download
	}{
		{name: "down"},
		{"up", []string{"--upload-file", file}, "put/sized"},
		{"up in chunks", []string{"--upload-file", file, "--header", "Transfer-Encoding: chunked"}, "put/chunked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startSidecar(t, n.url)
			if c.path == "" {
				if got := digestOfDownload(t, s.url+"/gibibyte.bin"); got != want {
					t.Errorf("the download's digest is %x, the file's %x", got, want)
				}
			} else {
				a := curl(t, append(c.flags, s.url+"/"+c.path)...)
				if a.status != "201 Created" {
					t.Fatalf("%v", &a)
				}
				stored := filepath.Join(n.dir, c.path)
				if got := digestOfFile(t, stored); got != want {
					t.Errorf("the stored digest is %x, the file's %x", got, want)
				}
				if err := os.Remove(stored); err != nil {
					t.Fatal(err)
				}
			}
			s.expectCounts(t, counts{"success": 1})
			s.expectRSS(t)
		})
	}
}

// TestMemoryOverTenRoutes has wrk's many connections ask for small answers.
func TestMemoryOverTenRoutes(t *testing.T) {
	n := startNginx(t, "", `keepalive_requests 1000000; location /route/ { return 200 "answer\n"; }`)
	script := filepath.Join(t.TempDir(), "routes.lua")
	const lua = `
local i = 0
request = function()
	i = i + 1
	return wrk.format("GET", "/route/" .. string.char(97 + i % 10))
end
`
	if err := os.WriteFile(script, []byte(lua), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startSidecar(t, n.url)
	seen := 0
	for seen < 200_000 {
		out, err := exec.Command(tool(t, "wrk", "wrk"), "-t2", "-c64", "-d4s", "-s", script, s.url).CombinedOutput()
		if err != nil {
			t.Fatalf("wrk: %v\n%s", err, out)
		}
		before := seen
		if seen = s.counts(t)["success"]; seen == before {
			t.Fatalf("no request came through:\n%s", out)
		}
	}
	t.Logf("%d requests", seen)
	s.expectRSS(t)
}

// writeNoise writes n bytes that do not compress and returns their digest.
func writeNoise(t *testing.T, name string, n int64) (digest [sha256.Size]byte) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w, h := bufio.NewWriterSize(f, 1<<20), sha256.New()
	_, err = io.CopyN(io.MultiWriter(w, h), rand.NewChaCha8([32]byte{2}), n)
	if err := errors.Join(err, w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

func digestOfFile(t *testing.T, name string) [sha256.Size]byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// digestOfDownload has curl write to a pipe, so that nothing is kept.
func digestOfDownload(t *testing.T, url string) [sha256.Size]byte {
	t.Helper()
	cmd := exec.Command(tool(t, "curl", "curl"), "--silent", "--show-error", "--fail", "--max-time", "100", url)
	h := sha256.New()
	cmd.Stdout, cmd.Stderr = h, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl %s: %v", url, err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}
