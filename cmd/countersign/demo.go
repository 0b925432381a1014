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
	shop, err := demo.Open(c.String("api"), c.Uint64("seed"))
	if err != nil {
		return fmt.Errorf("%w; choose another port with --api", err)
	}
	defer shop.Close()
	knobs, err := demo.OpenControl(c.String("knobs"), shop)
	if err != nil {
		return fmt.Errorf("%w; choose another port with --knobs", err)
	}
	defer knobs.Close()
	data, forget, err := demoData(c.String("data"))
	if err != nil {
		return err
	}
	defer forget()
	loaded, err := config.Load(config.Sources{Flags: map[string]string{
		"upstream": "http://" + shop.Addr(), "service": "demo-shop", "listen": c.String("listen"), "admin": c.String("admin"),
		"log-level": c.String("log-level"), "response-timeout": demoResponseTimeout.String(), "data": data,
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
	if err := printGuide(c, s, shop, knobs, data); err != nil {
		return err
	}
	return serveDemo(ctx, s, c.Float64("rate"), c.Uint64("seed"))
}

// demoData is the directory asked for, or a new one and how to remove it.
func demoData(asked string) (dir string, forget func(), err error) {
	if asked != "" {
		return asked, func() {}, nil
	}
	if dir, err = os.MkdirTemp("", "countersign-demo-"); err != nil {
		return "", nil, fmt.Errorf("cannot make a directory for the demo's ledger: %w; name one with --data", err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }, nil
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

See what was decided and recorded:
  {{.Binary}} incident list --admin {{.Admin}}
  {{.Binary}} incident show ID --admin {{.Admin}}       # an ID from the list
  {{.Binary}} incident replay ID --admin {{.Admin}}     # decide it again, and compare
  {{.Binary}} shadow report --admin {{.Admin}} --data {{.Data}}
  {{.Binary}} ledger verify http://{{.Admin}}/ledger/

The ledger and the secret are in {{.Data}}{{if .Forget}}, which goes when the demo ends{{end}}.
Ctrl-C ends it.

`))

func printGuide(c *cli.Context, s *sidecar, shop *demo.API, knobs *demo.Control, data string) error {
	return guide.Execute(c.App.Writer, map[string]any{
		"Binary": os.Args[0], // as it was called here, so that the line can be copied
		"API":    shop.Addr(), "Knobs": knobs.Addr(), "Rate": c.Float64("rate"),
		"Listen": s.traffic.Addr(), "Admin": s.adminListener.Addr(),
		"Data": data, "Forget": c.String("data") == "",
	})
}
