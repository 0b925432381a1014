package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func incidentAskCommand() *cli.Command {
	return &cli.Command{
		Name:      "ask",
		Usage:     "ask people to approve an action about the open incident, in the name of a contact; exit 0 recorded, 2 usage, 7 not recorded",
		ArgsUsage: "ID",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "action", Usage: "`NAME` of the action, one of the configuration's", EnvVars: []string{"COUNTERSIGN_ACTION"}},
			&cli.StringFlag{Name: "who", Usage: "`CONTACT` who asks for it; recorded, and cannot be the only one to approve an action of high risk", EnvVars: []string{"COUNTERSIGN_WHO"}},
			&cli.StringFlag{Name: "reason", Usage: "`TEXT` that is recorded with it", EnvVars: []string{"COUNTERSIGN_REASON"}},
			&cli.StringFlag{Name: "tenant", Usage: "the incident's `TENANT`, when it is not the sidecar's own", EnvVars: []string{"COUNTERSIGN_TENANT"}},
			secretFileFlag(), dataFlag(), adminFlag(), jsonFlag(),
		},
		Action: func(c *cli.Context) error {
			id, err := atMostOne(c, "incident")
			if err != nil {
				return err
			}
			action, who := strings.TrimSpace(c.String("action")), strings.TrimSpace(c.String("who"))
			switch {
			case id == "":
				return usageError{"ask needs the id of an incident: countersign incident list has them"}
			case action == "":
				return usageError{"--action names the action to ask for, as the configuration does; it cannot be left out"}
			case who == "":
				return usageError{"--who names the contact who asks for it; it is recorded, and cannot be left out"}
			}
			return askTenant(c, func(ctx context.Context, t *api.TenantClient) error {
				asked, err := t.Request(ctx, id, action, who, c.String("reason"))
				if err != nil {
					return err
				}
				if c.Bool("json") {
					return unprinted(printJSON(c, asked))
				}
				_, err = fmt.Fprintln(c.App.Writer, printable(oneLine(askedText(asked))))
				return unprinted(err)
			})
		},
	}
}

// askedText says what follows from having asked.
func askedText(r api.Requested) string {
	text := fmt.Sprintf("recorded: %s asks for %s about %s; ", r.Who, r.Action, r.Incident)
	if !r.Recorded {
		text = fmt.Sprintf("nothing was changed: %s has asked for %s about %s already; ", r.Who, r.Action, r.Incident)
	}
	switch {
	case r.Stage != incident.Validated:
	case r.Recorded:
		return text + "people are asked within seconds"
	default:
		return text + "people are asked, and the page behind a link says where it stands"
	}
	return text + "people are asked once the incident is " + string(incident.Validated)
}
