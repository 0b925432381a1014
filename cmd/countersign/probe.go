package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ebpf"
)

func probeCommand() *cli.Command {
	return &cli.Command{
		Name:        "probe",
		Usage:       "ask about the eBPF probe",
		Subcommands: []*cli.Command{probeCheckCommand()},
	}
}

func probeCheckCommand() *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "say what this host allows the eBPF probe, and what to do about the rest: exit 0 when it can work, 1 when not",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			r := ebpf.Check()
			if c.Bool("json") {
				if err := printJSON(c, r); err != nil {
					return err
				}
			} else {
				_, _ = fmt.Fprint(c.App.Writer, checked(r))
			}
			if r.Attach == "" {
				return errReported
			}
			return nil
		},
	}
}

// checked lays a report out, a hook after the other.
func checked(r ebpf.Report) string {
	b := &page{}
	b.line("kernel %s", r.Kernel)
	for _, h := range r.Hooks {
		if h.Allowed {
			b.line("%-8s works", h.Attach)
			continue
		}
		b.long("%-8s cannot work: %s", h.Attach, h.Reason)
		b.long("%-8s %s", "", h.Mend)
	}
	if r.Attach == "" {
		b.long("countersign run --sensor ebpf cannot work here; --sensor auto takes the proxy")
	} else {
		b.long("countersign run --sensor ebpf --port N attaches by %s", r.Attach)
	}
	return b.text()
}
