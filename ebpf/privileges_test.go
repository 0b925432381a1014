package ebpf

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestDocumentedCapabilities measures a live server in a process that is not
// root's and has what the documentation says a hook needs, and nothing else: the
// verifier is stricter with it than with root.
func TestDocumentedCapabilities(t *testing.T) {
	eachHook(t, func(t *testing.T, a Attach) {
		if os.Getuid() != 0 {
			t.Skip("only root can give a process its capabilities")
		}
		var capabilities []uintptr
		for _, c := range needs(a) {
			capabilities = append(capabilities, uintptr(c.number))
		}
		const nobody = 65534
		// Not by its path: its directory is root's alone.
		child := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.v", "-test.run", "^TestLive$/^"+string(a)+"$")
		child.Dir = "/"
		child.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: capabilities,
		}
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestLive/"+string(a)) {
			t.Errorf("%v\n%s", err, out)
		}
	})
}
