package capability

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// drop builds testdata/drop without cgo and runs it, by way of the words before it.
func drop(t *testing.T, by ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "drop")
	build := exec.Command("go", "build", "-o", bin, "./testdata/drop")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	words := append(by, bin)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", words, err, out)
	}
	return string(out)
}

// expect looks at what every thread has.
func expect(t *testing.T, out string, sets ...string) {
	t.Helper()
	threads := 0
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
		switch {
		case name == "Pid":
			threads++
		case name == "NoNewPrivs" && value != "1":
			t.Errorf("thread %d may gain privileges", threads)
		}
		for _, set := range sets {
			if name == set && strings.Trim(value, "0") != "" {
				t.Errorf("thread %d has %s %s", threads, name, value)
			}
		}
	}
	if threads < 25 {
		t.Errorf("%d threads were looked at, and 25 were started:\n%s", threads, out)
	}
	for _, line := range []string{"packet socket: operation not permitted\n", "listens: tcp\n", "again: <nil>\n"} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
}

func TestEveryThreadLosesEverySet(t *testing.T) {
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
	if os.Geteuid() == 0 { // who else has CAP_SETPCAP
		sets = append(sets, "CapBnd")
	}
	expect(t, drop(t), sets...)
}

// TestWithoutTheRightToEmptyTheBoundingSet has what a container is given: the
// two capabilities of the probe and no other.
func TestWithoutTheRightToEmptyTheBoundingSet(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("setpriv, and root to use it, are needed to start with few capabilities")
	}
	out := drop(t, setpriv, "--bounding-set", "-all,+bpf,+net_admin", "--inh-caps", "-all,+net_admin", "--ambient-caps", "-all,+net_admin")
	expect(t, out, "CapInh", "CapPrm", "CapEff", "CapAmb")
	if !strings.Contains(out, "CapBnd:\t0000008000001000") {
		t.Errorf("the bounding set is not that of the start:\n%s", out)
	}
}

func TestCapabilitiesAreTold(t *testing.T) {
	s := set{{Effective: 1 << 8}, {Effective: 1 << 7}}
	for c, want := range map[int]bool{8: true, 39: true, 7: false, 40: false, 0: false} {
		if s.has(c) != want {
			t.Errorf("capability %d: %v", c, !want)
		}
	}
}
