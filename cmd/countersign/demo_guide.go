package main

import (
	"fmt"
	"io"
	"os"
	"text/template"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
)

// guide is the demo's first screen: where everything is, and what to do next,
// which comes last, so that a terminal of 80 by 24 shows it whole. Its commands
// can be copied as they stand.
type guide struct {
	Binary string // as it was called here
	// Flag is what the commands need to find the sidecar: nothing at its usual
	// address.
	Flag string

	API, Knobs, Inbox, Listen, Admin string // HOST:PORT
	Data                             string // the data directory

	Forget bool    // the directory goes when the demo ends
	Live   bool    // the demo began live
	Rate   float64 // of the customers, a second
}

func newGuide(c *cli.Context, s *sidecar, d *demoStage) *guide {
	g := &guide{
		Binary: os.Args[0],
		API:    d.shop.Addr(), Knobs: d.knobs.Addr(), Inbox: d.inbox.Addr(),
		Listen: s.traffic.Addr().String(), Admin: s.adminListener.Addr().String(),
		Data: d.data, Forget: c.String("data") == "", Live: c.Bool("live"), Rate: c.Float64("rate"),
	}
	if g.Admin != config.Default().Admin.Address {
		g.Flag = " --admin " + g.Admin
	}
	return g
}

func (g *guide) print(w io.Writer) error { return guideText.Execute(w, g) }

// inboxHint says on the inbox's page what to do while no message has come.
func (g *guide) inboxHint(shadow bool) string {
	if shadow {
		return fmt.Sprintf("Shadow mode is on: what would be sent is recorded, and nothing is sent. Go live:\n\n"+
			"%s shadow off%s --data %s --who me", g.Binary, g.Flag, g.Data)
	}
	return fmt.Sprintf("No messages yet. Break the API, and one comes within ten seconds:\n\n"+
		"curl -X POST 'http://%s/demo/faults?error_rate=0.3'", g.Knobs)
}

var guideText = template.Must(template.New("guide").Parse(`
Countersign runs in front of a sample API{{if .Rate}} that gets {{.Rate}} requests a second{{end}}.

  sidecar   http://{{.Listen}}   in front of http://{{.API}}
  findings  http://{{.Admin}}/health/alerts
  inbox     http://{{.Inbox}}/  what the person on call is sent

Ways to break it:
  curl -X POST 'http://{{.Knobs}}/demo/faults?error_rate=0.3'   # failing
  curl -X POST 'http://{{.Knobs}}/demo/faults?latency_ms=4000'  # slow
  curl -X POST 'http://{{.Knobs}}/demo/faults?ramp_ms=100'      # worsening
  curl -X POST 'http://{{.Knobs}}/demo/faults?hang=true'        # no answers
  curl -X POST 'http://{{.Knobs}}/demo/faults?die=true'         # gone
  curl -X POST 'http://{{.Knobs}}/demo/faults?flap_s=12'        # by turns
  curl -X POST  http://{{.Knobs}}/demo/reset                    # well again
After three incidents in ten minutes the service is called flapping, and the
incident stays open until five are calm.

Look closer:
  {{.Binary}} status{{.Flag}}
  {{.Binary}} incident list{{.Flag}}
  {{.Binary}} incident replay{{.Flag}}    # decide it again, and compare
  {{.Binary}} outbox list{{.Flag}} --data {{.Data}}
  curl -i http://{{.Listen}}/products/7

Ledger, secret and configuration (demo.yaml) are in
{{.Data}}{{if .Forget}}, which goes when the demo ends{{end}}.
{{if .Live}}
The whole loop, in three minutes:
  1. Break the API:
     curl -X POST 'http://{{.Knobs}}/demo/faults?error_rate=0.3'
  2. Open the inbox: http://{{.Inbox}}/
     An incident comes within ten seconds, and half a minute later a link.
  3. Follow the link, read what would run, and approve. Then it is sent, signed,
     once: POST http://{{.Knobs}}/demo/reset, which mends the API.
  4. A minute later the inbox says that it has recovered. See what is on record:
     {{.Binary}} incident show{{.Flag}}
     {{.Binary}} ledger verify http://{{.Admin}}/ledger/

The demo is live, as it reaches nothing but itself. In front of your own API
Countersign begins in shadow mode and only records: see it with --live=false.
{{else}}
The demo is in shadow mode, as every installation at first: it decides and
records, and sends and runs nothing. The inbox stays empty.
  1. Break the API:
     curl -X POST 'http://{{.Knobs}}/demo/faults?error_rate=0.3'
  2. A minute later, see what would have been sent and run:
     {{.Binary}} incident show{{.Flag}}
     {{.Binary}} shadow report{{.Flag}} --data {{.Data}}
  3. Go live, and open the inbox: http://{{.Inbox}}/
     Within ten seconds it has a link about the incident that is open.
     {{.Binary}} shadow off{{.Flag}} --data {{.Data}} --who me
{{end}}
Ctrl-C ends it.

`))
