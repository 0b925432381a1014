//go:build slow

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestSystemdUnitAllowsWhatIsCalled runs both sensors as they are, notes every system call, and
// compares with what the unit would have allowed.
func TestSystemdUnitAllowsWhatIsCalled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		files []string
		flags []string
	}{
		{"proxy", []string{"countersign.service"}, []string{"--upstream", "http://127.0.0.1:1", "--wait-upstream", "0", "--listen", "127.0.0.1:0"}},
		{"probe", []string{"countersign.service", "countersign.service.d/probe.conf"}, []string{"--sensor", "ebpf", "--port", "1", "--ebpf-attach", "tcx"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "probe" {
				needHook(t, "tcx")
			}
			calls, families := noteCalls(t, c.flags)
			var unit string
			for _, file := range c.files {
				text, err := os.ReadFile(filepath.Join("..", "deploy", "systemd", file))
				if err != nil {
					t.Fatal(err)
				}
				unit += string(text) + "\n"
			}
			allowed := allowedCalls(t, unit)
			for _, call := range calls {
				if !allowed[call] {
					t.Errorf("the unit does not allow %s", call)
				}
			}
			for _, family := range families {
				if !slices.Contains(strings.Fields(strings.Join(values(unit, "RestrictAddressFamilies"), " ")), family) {
					t.Errorf("the unit does not allow %s", family)
				}
			}
		})
	}
}

var (
	tracedCall   = regexp.MustCompile(`(?m)^\d+ +(?:<\.\.\. )?([a-z][a-z0-9_]*)(?:\(| resumed>)`)
	tracedFamily = regexp.MustCompile(`socket\((AF_[A-Z0-9]+)`)
	tracedBoth   = regexp.MustCompile(`(?m)^.*PROT_WRITE\|PROT_EXEC.*$`)
)

// noteCalls runs a sidecar from its start over a request, a check, a reload and its end.
func noteCalls(t *testing.T, flags []string) (calls, families []string) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	line := slices.Concat([]string{"-f", "-qq", "-s", "0", "-o", trace, binary, "run", "--admin", "127.0.0.1:0", "--log-format", "json", "--data", filepath.Join(t.TempDir(), "data")}, flags)
	p := start(t, syscall.SIGKILL, tool(t, "strace", "strace"), line...)
	s := servingSidecar(t, p, namespace{})
	if s.url != "" {
		curl(t, s.url)
	}
	eventually(t, "the ledger should be open", func() bool {
		return strings.Contains(string(s.read(t, "/metrics")), "countersign_ledger_up 1")
	})
	signalGroup(t, p, syscall.SIGHUP)
	p.awaitLine(t, "reload")
	signalGroup(t, p, syscall.SIGTERM)
	p.awaitExit(t)
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	if both := tracedBoth.Find(text); both != nil {
		t.Errorf("memory is to be written to and run, which MemoryDenyWriteExecute refuses: %s", both)
	}
	return unique(t, tracedCall, text, 40), unique(t, tracedFamily, text, 1)
}

// unique are the first groups of all matches, of which there must be so many.
func unique(t *testing.T, pattern *regexp.Regexp, text []byte, least int) (found []string) {
	t.Helper()
	for _, m := range pattern.FindAllSubmatch(text, -1) {
		found = append(found, string(m[1]))
	}
	slices.Sort(found)
	if found = slices.Compact(found); len(found) < least {
		t.Fatalf("the trace was not understood: %v", found)
	}
	return found
}

// values are those of a setting, in order.
func values(unit, setting string) (all []string) {
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), setting+"="); ok {
			all = append(all, value)
		}
	}
	return all
}

// allowedCalls follows systemd.exec(5): the first list allows, and the others add or take away.
func allowedCalls(t *testing.T, unit string) map[string]bool {
	t.Helper()
	allowed := map[string]bool{}
	for _, list := range values(unit, "SystemCallFilter") {
		list, taken := strings.CutPrefix(list, "~")
		for _, name := range strings.Fields(list) {
			for _, call := range callsOf(t, name) {
				allowed[call] = !taken
			}
		}
	}
	return allowed
}

// callsOf are those of a group of systemd's, which may have groups in it, or the call itself.
func callsOf(t *testing.T, name string) (calls []string) {
	t.Helper()
	if !strings.HasPrefix(name, "@") {
		return []string{name}
	}
	out, err := exec.Command(tool(t, "systemd-analyze", "systemd"), "--no-pager", "syscall-filter", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if member := strings.TrimSpace(line); member != "" && member != name && !strings.HasPrefix(member, "#") {
			calls = append(calls, callsOf(t, member)...)
		}
	}
	return calls
}
