package machine

import (
	"bytes"
	"cmp"
	"context"
	"os"
	"os/exec"
)

// Version is that of a program.
type Version struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Question is a command whose first line is a version.
type Question struct {
	Name string
	Line []string
}

// Go is the Go that the Makefile was told to use.
func Go() string { return cmp.Or(os.Getenv("GO"), "go") }

// Versions asks for the commit of the repository at root, for Go's version, and the others, in this order. A program
// without a name, because it is not there, is not asked.
func Versions(ctx context.Context, root string, others ...Question) (all []Version) {
	for _, q := range append([]Question{
		{"commit", []string{"git", "-C", root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"}},
		{"go", []string{Go(), "version"}},
	}, others...) {
		if q.Line[0] == "" {
			continue
		}
		out, err := exec.CommandContext(ctx, q.Line[0], q.Line[1:]...).CombinedOutput()
		line, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		if err != nil {
			line = []byte("does not say: " + err.Error())
		}
		all = append(all, Version{q.Name, string(line)})
	}
	return all
}
