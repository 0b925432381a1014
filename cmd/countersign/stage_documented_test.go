package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// documented writes the first indented block below a heading of a page.
func (s *stage) documented(ts *testscript.TestScript, args []string) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", args[0]))
	ts.Check(err)
	_, section, ok := strings.Cut(string(page), "\n## "+args[1]+"\n")
	if !ok {
		ts.Fatalf("%s has no heading %q", args[0], args[1])
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var commands strings.Builder
	for line := range strings.SplitSeq(section, "\n") {
		command, indented := strings.CutPrefix(line, "    ")
		if indented {
			commands.WriteString(command + "\n")
		} else if commands.Len() > 0 {
			break
		}
	}
	if commands.Len() == 0 {
		ts.Fatalf("%s has no commands below %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(commands.String()), 0o600))
}
