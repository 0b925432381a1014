//go:build slow

package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// allowed is the words by which a program is started with these capabilities and no other.
func allowed(capabilities ...string) []string {
	list := "-all"
	for _, c := range capabilities {
		list += ",+" + c
	}
	return []string{"setpriv", "--bounding-set", list, "--inh-caps", list, "--ambient-caps", list, "--no-new-privs"}
}

// neededBy is what each hook needs, as the documentation has it.
var neededBy = map[string][]string{"tcx": {"bpf", "net_admin"}, "socket": {"bpf", "net_raw"}}

// startAllowed runs the probe with some capabilities in a namespace. It returns
// without waiting for it to serve.
func startAllowed(t *testing.T, inside namespace, capabilities []string, args ...string) *process {
	t.Helper()
	words := append(allowed(capabilities...), binary)
	words = inside.words(words[0], append(words[1:], args...)...)
	return start(t, syscall.SIGKILL, words[0], words[1:]...)
}

func probeArgs(t *testing.T, more ...string) []string {
	t.Helper()
	return append([]string{"run", "--admin", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "data")}, more...)
}

// TestProbeNeedsWhatIsDocumentedAndKeepsNothing starts it with the documented
// capabilities alone: it measures, and no thread has any of them afterwards.
func TestProbeNeedsWhatIsDocumentedAndKeepsNothing(t *testing.T) {
	t.Parallel()
	for attach, capabilities := range neededBy {
		t.Run(attach, func(t *testing.T) {
			needHook(t, attach)
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, api)
			p := startAllowed(t, host, capabilities, probeArgs(t, "--sensor", "ebpf", "--port", portOf(t, api.Addr().String()), "--ebpf-attach", attach, "--log-format", "json")...)
			s := servingSidecar(t, p, host)
			oneByOne(20, "GET", "", 200)(t, host, api.Addr().String(), "/sized")
			s.expectCounts(t, counts{"success": 20})
			expectNoCapabilities(t, p.cmd.Process.Pid)
			// An interface that comes later is followed all the same.
			other := newNamespace(t)
			join(t, other, host)
			late := host.listen(t, net.JoinHostPort(rightIPv4, portOf(t, api.Addr().String())))
			serveProbedAPI(t, late)
			eventually(t, "the probe should be attached to the new interface", func() bool {
				return attach == "socket" || strings.Contains(string(s.read(t, "/status")), `"wire"`)
			})
			oneByOne(20, "GET", "", 200)(t, other, late.Addr().String(), "/sized")
			s.expectCounts(t, counts{"success": 40})
			s.expectRSS(t)
		})
	}
}

func expectNoCapabilities(t *testing.T, pid int) {
	t.Helper()
	files, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/status")
	if err != nil || len(files) < 3 {
		t.Fatalf("threads %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch name {
			case "CapInh", "CapPrm", "CapEff", "CapAmb":
				if strings.Trim(value, "0") != "" {
					t.Errorf("%s has %s %s", file, name, value)
				}
			case "NoNewPrivs":
				if value != "1" {
					t.Errorf("%s may gain privileges", file)
				}
			}
		}
	}
}

// TestProbeRefusals takes away what the hooks need: what is said names it.
func TestProbeRefusals(t *testing.T) {
	t.Parallel()
	host := newNamespace(t)
	for _, c := range []struct {
		name, attach string
		capabilities []string
		says         []string
	}{
		{"nothing", "auto", nil, []string{"CAP_BPF", "countersign probe check", "--sensor auto"}},
		{"tcx without CAP_BPF", "tcx", []string{"net_admin"}, []string{"CAP_BPF"}},
		{"tcx without CAP_NET_ADMIN", "tcx", []string{"bpf", "net_raw"}, []string{"CAP_NET_ADMIN"}},
		{"socket without CAP_NET_RAW", "socket", []string{"bpf", "net_admin"}, []string{"CAP_NET_RAW"}},
		{"socket without CAP_BPF", "socket", []string{"net_raw"}, []string{"CAP_BPF"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			needHook(t, c.attach)
			p := startAllowed(t, host, c.capabilities, probeArgs(t, "--sensor", "ebpf", "--port", "8000", "--ebpf-attach", c.attach)...)
			if code := p.awaitExit(t); code != 1 {
				t.Errorf("exit %d", code)
			}
			line := strings.TrimSpace(p.printed())
			if !strings.HasPrefix(line, "countersign: the eBPF probe cannot work here: ") || strings.Contains(line, "\n") {
				t.Errorf("it says %q", line)
			}
			for _, word := range c.says {
				if !strings.Contains(line, word) {
					t.Errorf("no %q in %q", word, line)
				}
			}
			t.Log(line)
		})
	}
}

// TestProbeFallsBackToTheProxy, and says why, where it may not attach.
func TestProbeFallsBackToTheProxy(t *testing.T) {
	t.Parallel()
	host := newNamespace(t)
	api := host.listen(t, "127.0.0.1:0")
	serveProbedAPI(t, api)
	auto := func(capabilities []string, more ...string) *process {
		return startAllowed(t, host, capabilities, probeArgs(t, append([]string{"--sensor", "auto", "--log-format", "json"}, more...)...)...)
	}
	s := servingSidecar(t, auto(nil, "--upstream", "http://"+api.Addr().String(), "--listen", "127.0.0.1:0", "--policy", unasking(t)), host)
	oneByOne(5, "GET", "", 200)(t, host, s.address, "/sized")
	s.expectCounts(t, counts{"success": 5})
	var status struct {
		Sensor string
		Reason string `json:"sensor_reason"`
	}
	if err := json.Unmarshal(s.read(t, "/status"), &status); err != nil || status.Sensor != "proxy" || !strings.Contains(status.Reason, "CAP_BPF") {
		t.Errorf("status %+v, %v", status, err)
	}
	alone := auto(nil, "--port", "8000")
	if code := alone.awaitExit(t); code != 1 || !strings.Contains(alone.printed(), "or name an upstream") {
		t.Errorf("exit %d: %s", code, alone.printed())
	}
	probe := servingSidecar(t, auto(neededBy["socket"], "--port", portOf(t, api.Addr().String())), host)
	oneByOne(5, "GET", "", 200)(t, host, api.Addr().String(), "/sized")
	probe.expectCounts(t, counts{"success": 5})
}

// TestProbeCheck says by its exit code and words what each set of capabilities allows.
func TestProbeCheck(t *testing.T) {
	t.Parallel()
	host := newNamespace(t)
	for _, c := range []struct {
		capabilities []string
		attach       string
	}{{nil, ""}, {neededBy["tcx"], "tcx"}, {neededBy["socket"], "socket"}} {
		needHook(t, c.attach)
		p := startAllowed(t, host, c.capabilities, "probe", "check", "--json")
		code := p.awaitExit(t)
		var report struct {
			Attach string
			Hooks  []struct {
				Attach, Reason, Mend string
				Allowed              bool
			}
		}
		if err := json.Unmarshal([]byte(p.printed()), &report); err != nil {
			t.Fatalf("%v: %s", err, p.printed())
		}
		if report.Attach != c.attach || (code == 0) != (c.attach != "") || len(report.Hooks) != 2 {
			t.Errorf("with %v: exit %d, %s", c.capabilities, code, p.printed())
		}
		for _, h := range report.Hooks {
			if h.Allowed != (h.Attach == c.attach) || h.Allowed != (h.Reason == "") {
				t.Errorf("with %v: %+v", c.capabilities, h)
			}
		}
	}
}

// TestKilledProbeLeavesNothing attached, neither to interfaces nor as sockets.
func TestKilledProbeLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			host := newNamespace(t)
			if n := host.attached(t); n != 0 {
				t.Fatalf("%d hooks before the start", n)
			}
			s := startProbe(t, host, "8000", attach)
			if host.attached(t) == 0 {
				t.Fatal("nothing is attached, and so nothing is shown")
			}
			s.kill()
			eventually(t, "nothing should be attached any more", func() bool { return host.attached(t) == 0 })
		})
	}
}

// attached counts the tcx programs of the loopback interface and the packet sockets inside.
func (n namespace) attached(t *testing.T) (count int) {
	t.Helper()
	err := n.do(func() error {
		lo, err := net.InterfaceByName("lo")
		if err != nil {
			return err
		}
		for _, hook := range []cebpf.AttachType{cebpf.AttachTCXIngress, cebpf.AttachTCXEgress} {
			found, err := link.QueryPrograms(link.QueryOptions{Target: lo.Index, Attach: hook})
			if err != nil {
				return err
			}
			count += len(found.Programs)
		}
		sockets, err := os.ReadFile("/proc/thread-self/net/packet")
		count += strings.Count(string(sockets), "\n") - 1
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}
