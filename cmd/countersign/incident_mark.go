package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func incidentMarkCommand() *cli.Command {
	return &cli.Command{
		Name:      "mark",
		Usage:     "record in the running sidecar's ledger what a person says of an incident; exit 0 recorded, 2 usage, 7 not recorded",
		ArgsUsage: "ID",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "false-alarm", Usage: "nothing was wrong", EnvVars: []string{"COUNTERSIGN_FALSE_ALARM"}},
			&cli.BoolFlag{Name: "confirmed", Usage: "something was wrong", EnvVars: []string{"COUNTERSIGN_CONFIRMED"}},
			&cli.StringFlag{Name: "cause", Usage: "the `CAUSE` that was found, one of countersign diagnosis causes; recorded, to know which diagnosis was right", EnvVars: []string{"COUNTERSIGN_CAUSE"}},
			&cli.StringFlag{Name: "who", Usage: "`NAME` of the person who says so; recorded", EnvVars: []string{"COUNTERSIGN_WHO"}},
			&cli.StringFlag{Name: "note", Usage: "`TEXT` that is recorded with it", EnvVars: []string{"COUNTERSIGN_NOTE"}},
			&cli.StringFlag{Name: "tenant", Usage: "the incident's `TENANT`, when it is not the sidecar's own", EnvVars: []string{"COUNTERSIGN_TENANT"}},
			secretFileFlag(), dataFlag(), adminFlag(),
		},
		Action: func(c *cli.Context) error {
			id, err := atMostOne(c, "incident")
			if err != nil {
				return err
			}
			verdict, err := verdictOf(c, id)
			if err != nil {
				return err
			}
			who := c.String("who")
			return askTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				if err := t.Mark(ctx, id, verdict, c.String("cause"), who, c.String("note")); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.App.Writer, "recorded: %s says of %s: %s\n", printable(oneLine(who)), printable(id), strings.ReplaceAll(verdict, "_", " "))
				return unprinted(err)
			})
		},
	}
}

// verdictOf is what the command line says of the incident.
func verdictOf(c *cli.Context, id string) (string, error) {
	falseAlarm, confirmed := c.Bool("false-alarm"), c.Bool("confirmed")
	switch {
	case id == "":
		return "", usageError{"mark needs the id of an incident: countersign incident list has them"}
	case falseAlarm == confirmed:
		return "", usageError{"say either --false-alarm or --confirmed"}
	case falseAlarm && c.String("cause") != "":
		return "", usageError{"a false alarm has no cause: give --cause with --confirmed"}
	case c.String("cause") != "" && !diagnosis.Cause(c.String("cause")).Valid():
		return "", usageError{fmt.Sprintf("%q is no cause that there is: countersign diagnosis causes lists them", c.String("cause"))}
	case oneLine(c.String("who")) == "":
		return "", usageError{"--who names the person who says so; it is recorded, and cannot be left out"}
	case falseAlarm:
		return incident.FalseAlarm, nil
	}
	return incident.Confirmed, nil
}
