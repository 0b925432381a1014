package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/orchestrator/api"
)

// version and revision are stamped by the build.
var version, revision string

// buildInfo falls back on what the Go tool records when nothing was stamped,
// as with go install.
func buildInfo() api.Build {
	b := api.Build{Version: version, Revision: revision, Go: runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok && b.Version == "" {
		b.Version = strings.Trim(info.Main.Version, "()")
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && b.Revision == "" {
				b.Revision = s.Value
			}
		}
	}
	if b.Version == "" {
		b.Version = "devel"
	}
	return b
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			b := buildInfo()
			if c.Bool("json") {
				return printJSON(c, b)
			}
			_, err := fmt.Fprintln(c.App.Writer, versionLine(b))
			return err
		},
	}
}

func versionLine(b api.Build) string {
	line := "countersign " + b.Version
	if b.Revision != "" {
		line += " (" + b.Revision[:min(len(b.Revision), 12)] + ")"
	}
	return fmt.Sprintf("%s %s %s/%s", line, b.Go, runtime.GOOS, runtime.GOARCH)
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON", EnvVars: []string{"COUNTERSIGN_JSON"}}
}

func printJSON(c *cli.Context, v any) error {
	enc := json.NewEncoder(c.App.Writer)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
