//go:build slow

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// documentedCommands are the first ones below a heading of a page in docs, each whole.
func documentedCommands(t *testing.T, page, heading string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no heading %q", page, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	begun := false
	for line := range strings.SplitSeq(section, "\n") {
		line, indented := strings.CutPrefix(line, "    ")
		switch {
		case !indented && len(commands) > 0:
			return commands
		case !indented:
		case begun:
			commands[len(commands)-1] += "\n" + line
		default:
			commands = append(commands, line)
		}
		begun = indented && strings.HasSuffix(line, "\\")
	}
	return commands
}

// testDocumentedDocker runs the quick start of the page, with a free port in the place of 8000
// on the host. The image has been made already.
func testDocumentedDocker(t *testing.T, d docker) {
	t.Parallel()
	address := freeAddress(t)
	commands := documentedCommands(t, "DOCKER.md", "Quick start")
	if len(commands) < 6 || commands[0] != "make image" {
		t.Fatalf("the quick start is %q", commands)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(d.logs(t, "countersign"))
		}
		d.do(t, "rm", "-f", "-v", "countersign", "api")
	})
	for _, command := range commands[1:] {
		command = strings.NewReplacer("-p 8000:", "-p "+address+":", "http://127.0.0.1:8000", "http://"+address).Replace(command)
		run := func() (string, bool) {
			cmd := exec.Command("bash", "-c", command)
			cmd.Env = append(d.environment(), "PATH="+filepath.Dir(d.client)+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			return string(out), err == nil
		}
		if strings.HasPrefix(command, "docker exec") || strings.HasPrefix(command, "curl") {
			// What was started is there within a moment.
			eventuallyWithin(t, settled, command, func() bool { _, ok := run(); return ok })
		} else if out, ok := run(); !ok {
			t.Fatalf("%s\n%s", command, out)
		}
	}
}
