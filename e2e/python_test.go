//go:build slow

package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// startPython runs testdata/upstream.py, which is Python's http.server with
// answers to more than GET, and returns its URL.
func startPython(t *testing.T, protocol string) string {
	t.Helper()
	p := start(t, syscall.SIGKILL, tool(t, "python3", "python3"), "-u", "testdata/upstream.py", protocol)
	return afterWord(p.awaitLine(t, "serving on"), "on ")
}

// startStockPython runs `python3 -m http.server` as it comes, serving dir.
func startStockPython(t *testing.T, protocol, dir string) string {
	t.Helper()
	p := start(t, syscall.SIGKILL, tool(t, "python3", "python3"),
		"-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--protocol", protocol, "--directory", dir)
	url := afterWord(p.awaitLine(t, "Serving HTTP on"), "(")
	return strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(strings.TrimSuffix(url, "...")), ")"), "/")
}

func afterWord(line, word string) string {
	_, rest, _ := strings.Cut(line, word)
	return rest
}
