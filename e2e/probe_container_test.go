//go:build slow

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// containerCapabilities are the documented ones, as Docker writes them. CHOWN stands for
// BPF (testdata/runtime), which this Docker does not know; nothing stands for anything where
// SYS_ADMIN is given in its stead.
var containerCapabilities = []struct {
	name, attach string
	capabilities []string
}{
	{"tcx", "tcx", []string{"CHOWN", "NET_ADMIN"}},
	{"socket", "socket", []string{"CHOWN", "NET_RAW"}},
	{"tcx before Docker 23", "tcx", []string{"SYS_ADMIN", "NET_ADMIN"}},
	{"socket before Docker 23", "socket", []string{"SYS_ADMIN", "NET_RAW"}},
}

// TestProbeInAContainer beside that of an API, whose network it shares and nothing else: it is not
// privileged, sees none of its processes, and none of the host's files.
func TestProbeInAContainer(t *testing.T) {
	t.Parallel()
	d := startDocker(t)
	d.load(t, "countersign", map[string]string{"host": buildWithoutCgo(t, "./testdata/host"), "countersign": binary})
	for _, hook := range containerCapabilities {
		t.Run(hook.name, func(t *testing.T) {
			needHook(t, hook.attach)
			api := d.do(t, "run", "-d", "--network", "none", "--cap-drop", "ALL", "countersign", "/host", "serve", ":8000")
			args := []string{"run", "-d", "--network", "container:" + api, "--read-only", "--tmpfs", "/data", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"}
			for _, c := range hook.capabilities {
				args = append(args, "--cap-add", c)
			}
			sidecar := d.do(t, append(args, "countersign", "/countersign", "run", "--sensor", "ebpf", "--port", "8000", "--ebpf-attach", hook.attach, "--data", "/data", "--log-format", "json")...)
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(d.logs(t, sidecar))
				}
				d.do(t, "rm", "-f", sidecar, api)
			})
			eventually(t, "the sidecar should serve", func() bool { return strings.Contains(d.logs(t, sidecar), `"serving"`) })
			d.do(t, "exec", api, "/host", "ask", "http://127.0.0.1:8000/", "50")
			var measured uint64
			eventually(t, "50 requests should be measured", func() bool {
				var status struct{ Probe struct{ Measured uint64 } }
				if err := json.Unmarshal([]byte(d.do(t, "exec", api, "/host", "read", "http://127.0.0.1:9090/status")), &status); err != nil {
					t.Fatal(err)
				}
				measured = status.Probe.Measured
				return measured >= 50
			})
			if measured != 50 {
				t.Errorf("%d requests were measured", measured)
			}
		})
	}
}
