package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/orchestrator/counsel"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis/corpus"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func diagnosisCommand() *cli.Command {
	return &cli.Command{
		Name:  "diagnosis",
		Usage: "what may be behind incidents: what would be sent to models, who was right, how good the rules are",
		Subcommands: withCodes([]*cli.Command{
			diagnosisPreviewCommand(), diagnosisScoreCommand(), diagnosisCorpusCommand(), diagnosisCausesCommand(),
		}),
	}
}

func diagnosisPreviewCommand() *cli.Command {
	return &cli.Command{
		Name: "preview",
		Usage: "print exactly what the models of the configuration would be sent about an incident, the newest unless another is named, and what the rules say of it; " +
			"nothing is sent; " + codesHelp,
		ArgsUsage: "[ID] [LOG]",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "config", Usage: "YAML configuration `FILE` with the models", EnvVars: []string{"COUNTERSIGN_CONFIG"}},
		}, incidentFlags()...),
		Action: func(c *cli.Context) error {
			return withCase(c, func(r *incidentReader, found incident.Case) error {
				loaded, err := config.Load(config.Sources{File: c.String("config")})
				if err != nil {
					return err
				}
				return preview(c, loaded.Config, r, found)
			})
		},
	}
}

// unsent is what no request goes through.
type unsent struct{}

func (unsent) Do(*http.Request) (*http.Response, error) { return nil, errors.New("nothing is sent") }

// previewed is what one model would be sent.
type previewed struct {
	Model string `json:"model"`
	URL   string `json:"url"`
	Body  string `json:"body"`
}

func preview(c *cli.Context, cfg config.Config, r *incidentReader, found incident.Case) error {
	earlier, err := incident.List(found.Tenant, r.entries(r.ctx))
	if err != nil {
		return readError(err)
	}
	stage := incident.Detected
	for _, e := range found.Entries {
		if e.Entry.Kind == incident.KindOf(incident.Validated) {
			stage = incident.Validated
		}
	}
	e, err := counsel.Evidence(found, stage, r.blob, actionNames(cfg, found.Tenant), counsel.Memory(earlier))
	if err != nil {
		return exitError{int(verify.Incomplete), err}
	}
	rules := diagnosis.Rules{}.Diagnose(r.ctx, &e)
	sent := []previewed{}
	for _, m := range cfg.Models {
		// The key is no part of what is printed.
		model, err := m.Open("key", unsent{}, cfg.Diagnosis.Send == config.SendFigures)
		if err != nil {
			return err
		}
		request, err := model.Preview(&e)
		if err != nil {
			return err
		}
		sent = append(sent, previewed{m.ID, request.URL, string(request.Body)})
	}
	if c.Bool("json") {
		return unprinted(printJSON(c, map[string]any{"incident_id": found.ID, "stage": stage, "evidence": e, "rules": rules.Answer, "sent": sent}))
	}
	return unprinted(writePreview(c, cfg, found, stage, e, rules, sent))
}

func writePreview(c *cli.Context, cfg config.Config, found incident.Case, stage incident.Stage, e diagnosis.Evidence, rules diagnosis.Opinion, sent []previewed) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s, as it was when %s\n\n", found.ID, stage)
	for i := range e.Facts {
		fmt.Fprintf(&b, "  %-4s %s\n", e.Facts[i].ID, printable(e.Facts[i].String()))
	}
	b.WriteString("\n")
	if a := rules.Answer; a.Abstained() {
		b.WriteString("The rules name no cause.\n")
	} else {
		fmt.Fprintf(&b, "The rules say %s, confidence %.0f %%: %s\n", a.Cause, 100*a.Confidence, printable(a.Hypothesis))
	}
	if len(sent) == 0 {
		b.WriteString("No models are configured: nothing would be sent to anybody.\n")
	} else if cfg.Diagnosis.Mode != config.DiagnosisModels {
		fmt.Fprintf(&b, "diagnosis.mode is %s: nothing is sent to anybody. With %s it would be this:\n", cfg.Diagnosis.Mode, config.DiagnosisModels)
	}
	for _, s := range sent {
		fmt.Fprintf(&b, "\nPOST %s (%s), %d bytes:\n%s\n", printable(s.URL), printable(s.Model), len(s.Body), printable(s.Body))
	}
	if len(sent) > 0 {
		fmt.Fprintf(&b, "\nAn answer that cannot be used is asked for once more, with this behind the system's part:%s", diagnosis.Again)
	}
	_, err := c.App.Writer.Write(b.Bytes())
	return err
}

func diagnosisScoreCommand() *cli.Command {
	return &cli.Command{
		Name: "score",
		Usage: "say over all incidents in the ledger who was right, from what people have found (incident mark --cause), whom approvers trusted and what helped; " +
			codesHelp,
		ArgsUsage: "[LOG]",
		Flags:     incidentFlags(),
		Action: func(c *cli.Context) error {
			named, err := atMostOne(c, "log")
			if err != nil {
				return err
			}
			return withLog(c, named, func(ctx context.Context, r *incidentReader) error {
				cases, err := scored(ctx, c.String("tenant"), r)
				if err != nil {
					return err
				}
				standings := diagnosis.Score(cases)
				if c.Bool("json") {
					return unprinted(printJSON(c, append([]diagnosis.Standing{}, standings...)))
				}
				return unprinted(printLines(c, diagnosis.ScoreText(standings)))
			})
		},
	}
}

// scored are the incidents of which a diagnosis is on record.
func scored(ctx context.Context, tenant string, r *incidentReader) ([]diagnosis.Case, error) {
	type key struct{ tenant, id string }
	var order []key
	entries := map[key][]incident.Indexed{}
	for e, err := range r.entries(ctx) {
		if err != nil {
			return nil, readError(err)
		}
		k := key{e.Entry.TenantID, e.Entry.IncidentID}
		if k.id == "" || tenant != "" && k.tenant != tenant {
			continue
		}
		if entries[k] == nil {
			order = append(order, k)
		}
		e.Entry.Evidence = diagnosesOf(e.Entry)
		entries[k] = append(entries[k], e)
	}
	var cases []diagnosis.Case
	for _, k := range order {
		found, err := incident.NewCase(entries[k])
		if errors.Is(err, incident.ErrNoIncident) {
			continue
		}
		if err != nil {
			return nil, err
		}
		one, given, err := counsel.Score(found, r.blob)
		if err != nil {
			return nil, exitError{int(verify.Incomplete), err}
		}
		if given {
			cases = append(cases, one)
		}
	}
	return cases, nil
}

// diagnosesOf leaves of the evidence what a score needs.
func diagnosesOf(e incident.Entry) []incident.Evidence {
	if e.Kind == incident.KindDiagnosed {
		return e.Evidence
	}
	return nil
}

func diagnosisCorpusCommand() *cli.Command {
	return &cli.Command{
		Name:      "corpus",
		Usage:     "have the rules diagnose the recordings of a directory, and print what they named for which cause; exit 0 whatever comes out, 1 a recording cannot be read, 2 usage",
		ArgsUsage: "DIR",
		Flags:     []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			dir, err := atMostOne(c, "directory")
			if err != nil {
				return err
			}
			if dir == "" {
				return usageError{"corpus takes a directory of recordings, such as orchestrator/diagnosis/testdata/recordings"}
			}
			recordings, err := corpus.Read(dir)
			if err != nil {
				return err
			}
			results, err := corpus.Evaluate(c.Context, recordings, diagnosis.Rules{})
			if err != nil {
				return err
			}
			if c.Bool("json") {
				return unprinted(printJSON(c, results))
			}
			return unprinted(printLines(c, corpus.Table(results)))
		},
	}
}

func diagnosisCausesCommand() *cli.Command {
	return &cli.Command{
		Name:  "causes",
		Usage: "list the causes that a diagnosis can name, and incident mark --cause takes",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.Bool("json") {
				return unprinted(printJSON(c, diagnosis.Causes()))
			}
			table := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
			for _, cause := range diagnosis.Causes() {
				_, _ = fmt.Fprintf(table, "%s\t%s\n", cause, cause.What())
			}
			return unprinted(table.Flush())
		},
	}
}

// printLines prints a text of several lines that others may have had a part in.
func printLines(c *cli.Context, text string) error {
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(c.App.Writer, printable(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}
