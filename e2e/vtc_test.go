//go:build slow

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestVTC runs each testdata/*.vtc with varnishtest, whose clients and servers
// speak raw HTTP; no varnishd takes part. Each has a sidecar of its own between
// ${proxy}, where its clients connect, and ${upstream}, the unix socket where
// its server listens, if it starts one. Lines at the top of a file say:
//
//	# flags: further flags of the sidecar
//	# counts: what the sidecar's metrics must say afterwards, exactly
func TestVTC(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.vtc")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".vtc"), func(t *testing.T) {
			t.Parallel()
			runVTC(t, file)
		})
	}
}

func runVTC(t *testing.T, file string) {
	flags, want := readVTC(t, file)
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	s := startSidecar(t, "unix://"+socket, flags...)
	cmd := exec.Command(tool(t, "varnishtest", "varnish"), "-v", "-t", "30",
		"-D", "proxy="+s.address, "-D", "upstream="+socket, file)
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.expectCounts(t, want)
}

func readVTC(t *testing.T, file string) (flags []string, want counts) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "# flags:"); ok {
			flags = append(flags, strings.Fields(rest)...)
		}
		if rest, ok := strings.CutPrefix(line, "# counts:"); ok {
			want = counts{}
			for _, pair := range strings.Fields(rest) {
				name, value, _ := strings.Cut(pair, "=")
				if want[name], err = strconv.Atoi(value); err != nil {
					t.Fatalf("%s: %q is no count", file, pair)
				}
			}
		}
	}
	if want == nil {
		t.Fatalf("%s has no counts line", file)
	}
	return flags, want
}
