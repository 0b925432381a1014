package roots_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wayOut is what code that makes connections of its own has in it.
var wayOut = []string{"http.Transport{", "http.DefaultTransport", "http.DefaultClient", "tls.Client(", "StartTLS("}

// without are files that need no roots of the system, each with the reason.
var without = map[string]string{
	"ledger/verify/http.go":            "a library; the commands call Load before they use it",
	"cmd/countersign/ledger_source.go": "a transport for URLs before which Load was called",
	"cmd/countersign/ledger_child.go":  "a socket of a child process",
	"demo/traffic.go":                  "the demo's own API, on loopback",
	"deploy/kube/client.go":            "the cluster's own authority, which it is given",
}

// TestEveryWayOut calls Load: what does not would work wherever the system has
// authorities, and fail in the image.
func TestEveryWayOut(t *testing.T) {
	found := 0
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		switch entry.Name() {
		case "testdata", "bench", "e2e", "bin", "notifytest", "witnesstest", ".git":
			if entry.IsDir() {
				return filepath.SkipDir
			}
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, sign := range wayOut {
			if !strings.Contains(string(text), sign) {
				continue
			}
			found++
			if without[name] == "" && !strings.Contains(string(text), "roots.") {
				t.Errorf("%s has %s, and nothing in it calls roots.Load or roots.Before", name, sign)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 6 {
		t.Errorf("only %d ways out were found", found)
	}
}
