package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"text/template"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/demo"
)

func demoFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "listen", Usage: "HOST:PORT of the sidecar", Value: "127.0.0.1:8080", EnvVars: []string{"COUNTERSIGN_LISTEN"}},
		&cli.StringFlag{Name: "admin", Usage: "HOST:PORT of the admin API", Value: "127.0.0.1:9090", EnvVars: []string{"COUNTERSIGN_ADMIN"}},
		&cli.StringFlag{Name: "api", Usage: "HOST:PORT of the sample API; port 0 is a free one", Value: "127.0.0.1:0", EnvVars: []string{"COUNTERSIGN_DEMO_API"}},
		&cli.StringFlag{Name: "knobs", Usage: "HOST:PORT of the fault knobs", Value: "127.0.0.1:8081", EnvVars: []string{"COUNTERSIGN_DEMO_KNOBS"}},
		&cli.StringFlag{Name: "inbox", Usage: "HOST:PORT of the page with the messages that are sent", Value: "127.0.0.1:8082", EnvVars: []string{"COUNTERSIGN_DEMO_INBOX"}},
		&cli.StringFlag{Name: "approve", Usage: "HOST:PORT of the pages behind the links in messages", Value: "127.0.0.1:8083", EnvVars: []string{"COUNTERSIGN_DEMO_APPROVE"}},
		&cli.BoolFlag{Name: "live", Usage: "leave shadow mode: send messages to the inbox, and mend the sample API once you approve; without it nothing is sent or run", EnvVars: []string{"COUNTERSIGN_DEMO_LIVE"}},
		&cli.Float64Flag{Name: "rate", Usage: "requests a second that the customers send; 0 is none", Value: 50, EnvVars: []string{"COUNTERSIGN_DEMO_RATE"}},
		&cli.Uint64Flag{Name: "seed", Usage: "makes latencies, errors and customers repeatable", Value: 1, EnvVars: []string{"COUNTERSIGN_DEMO_SEED"}},
		&cli.StringFlag{Name: "data", Usage: "directory that keeps the ledger; empty uses one that goes when the demo ends", EnvVars: []string{"COUNTERSIGN_DATA"}},
		&cli.StringFlag{Name: "log-level", Usage: "debug, info, warn or error", Value: "info", EnvVars: []string{"COUNTERSIGN_LOG_LEVEL"}},
	}
}

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "try it: a sample API with fault knobs, customers, and the sidecar in front",
		Flags: demoFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runDemo(ctx, c)
		},
	}
}

// demoResponseTimeout is short, so that a hang is seen to become errors.
const demoResponseTimeout = 10 * time.Second

func runDemo(ctx context.Context, c *cli.Context) error {
	if rate := c.Float64("rate"); !(rate >= 0 && rate <= 1000) {
		return usageError{fmt.Sprintf("--rate is %v: it must lie between 0 and 1000", rate)}
	}
	d, err := openDemo(c)
	if err != nil {
		return err
	}
	defer d.close()
	loaded, err := config.Load(config.Sources{File: d.config, Flags: map[string]string{
		"upstream": "http://" + d.shop.Addr(), "service": "demo-shop", "listen": c.String("listen"), "admin": c.String("admin"),
		"log-level": c.String("log-level"), "response-timeout": demoResponseTimeout.String(), "data": d.data,
	}})
	if err != nil {
		return err
	}
	log, _ := newLog(loaded.Config, c.App.ErrWriter)
	s, err := newSidecar(loaded.Config, log)
	if err != nil {
		return err
	}
	defer s.close()
	s.startAdmin()
	s.startTraffic()
	if err := setDemoShadow(ctx, s, c.Bool("live")); err != nil {
		return err
	}
	if err := printGuide(c, s, d); err != nil {
		return err
	}
	return serveDemo(ctx, s, c.Float64("rate"), c.Uint64("seed"))
}

// serveDemo sends customers until ctx ends, and drains.
func serveDemo(ctx context.Context, s *sidecar, rate float64, seed uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	var customers sync.WaitGroup
	if rate > 0 {
		traffic := &demo.Traffic{Target: "http://" + s.traffic.Addr().String(), Rate: rate, Seed: seed}
		customers.Go(func() {
			if err := traffic.Run(ctx); err != nil {
				s.log.Error("the customers stopped", "error", err)
			}
		})
	}
	var err error
	select {
	case err = <-s.failed:
	case <-ctx.Done():
	}
	cancel()
	customers.Wait()
	limited, done := context.WithTimeout(context.Background(), 2*time.Second)
	defer done()
	if drainErr := s.drain(limited); drainErr != nil {
		s.log.Warn("requests were cut off", "error", drainErr)
	}
	return err
}

var guide = template.Must(template.New("guide").Parse(`
The sample API listens at   http://{{.API}}
the sidecar in front of it  http://{{.Listen}}{{if .Rate}}   ({{.Rate}} requests a second are on their way){{end}}
and its findings are at     http://{{.Admin}}/health/alerts

Look:
  {{.Binary}} status --admin {{.Admin}}
  curl -s http://{{.Admin}}/health/alerts
  curl -i http://{{.Listen}}/products/7
  curl -N http://{{.Listen}}/events

Break it, and look again after a few seconds:
  curl -X POST 'http://{{.Knobs}}/demo/faults?latency_ms=4000'   # slow
  curl -X POST 'http://{{.Knobs}}/demo/faults?ramp_ms=100'       # slower every second
  curl -X POST 'http://{{.Knobs}}/demo/faults?error_rate=0.3'    # failing
  curl -X POST 'http://{{.Knobs}}/demo/faults?hang=true'         # no answers
  curl -X POST 'http://{{.Knobs}}/demo/faults?die=true'          # gone
  curl -X POST 'http://{{.Knobs}}/demo/faults?flap_s=12'         # failing for 12 s, well for 12 s, and so on
  curl -X POST  http://{{.Knobs}}/demo/reset                     # all well again, within a minute
After three incidents in ten minutes the service is called flapping, and the incident stays open until five are calm.
{{if .Live}}
The demo is live. Break it, and be asked:
  http://{{.Inbox}}/        # messages arrive here: an incident, and half a minute later, if it still holds, a link
  Follow the link, see what would run, and approve. POST http://{{.Knobs}}/demo/reset is sent, signed, and mends the sample API.
  {{.Binary}} outbox list --admin {{.Admin}} --data {{.Data}}
{{else}}
The demo is in shadow mode, as every installation at first: it decides and records, and sends and runs nothing.
The inbox at http://{{.Inbox}}/ stays empty. Start it with --live to be asked and to approve a recovery action.
{{end}}
See what was decided and recorded:
  {{.Binary}} incident list --admin {{.Admin}}
  {{.Binary}} incident show ID --admin {{.Admin}}       # an ID from the list
  {{.Binary}} incident replay ID --admin {{.Admin}}     # decide it again, and compare
  {{.Binary}} shadow report --admin {{.Admin}} --data {{.Data}}
  {{.Binary}} ledger verify http://{{.Admin}}/ledger/

The ledger, the secret and the configuration, demo.yaml, are in {{.Data}}{{if .Forget}}, which goes when the demo ends{{end}}.
Ctrl-C ends it.

`))

func printGuide(c *cli.Context, s *sidecar, d *demoStage) error {
	return guide.Execute(c.App.Writer, map[string]any{
		"Binary": os.Args[0], // as it was called here, so that the line can be copied
		"API":    d.shop.Addr(), "Knobs": d.knobs.Addr(), "Inbox": d.inbox.Addr(), "Live": c.Bool("live"), "Rate": c.Float64("rate"),
		"Listen": s.traffic.Addr(), "Admin": s.adminListener.Addr(),
		"Data": d.data, "Forget": c.String("data") == "",
	})
}
