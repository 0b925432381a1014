//go:build slow

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSystemdUnit has systemd judge the unit, without and with what the probe needs: it is sound,
// and as exposed as its page says.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze", "systemd")
	page, err := os.ReadFile(filepath.Join("..", "docs", "SYSTEMD.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		dropIn bool
	}{{"countersign.service", false}, {"probe.conf", true}} {
		t.Run(c.name, func(t *testing.T) {
			unit := copyUnit(t, c.dropIn)
			if out, err := exec.Command(analyze, "verify", unit).CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			out, err := exec.Command(analyze, "security", "--no-pager", "--offline=yes", unit).CombinedOutput()
			if err != nil {
				t.Fatalf("systemd-analyze security: %v\n%s", err, out)
			}
			level := regexp.MustCompile(`Overall exposure level for countersign\.service: ([0-9.]+)`).FindSubmatch(out)
			if level == nil {
				t.Fatalf("it says no level:\n%s", out)
			}
			if row := "`" + c.name + "` | " + string(level[1]) + " |"; !strings.Contains(string(page), row) {
				t.Errorf("the level is %s, and the page does not say so", level[1])
			}
		})
	}
}

// copyUnit writes the unit as it would be installed, with the binary under test.
func copyUnit(t *testing.T, withProbe bool) string {
	t.Helper()
	dir := t.TempDir()
	sources := []string{"countersign.service"}
	if withProbe {
		sources = append(sources, "countersign.service.d/probe.conf")
	}
	for _, name := range sources {
		text, err := os.ReadFile(filepath.Join("..", "deploy", "systemd", name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "/usr/local/bin/countersign", binary)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, sources[0])
}
