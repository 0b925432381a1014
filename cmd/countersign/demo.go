package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
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
		&cli.BoolFlag{Name: "live", Usage: "send messages to the inbox, and mend the sample API once you approve; false stays in shadow mode, as every installation does at first", Value: true, EnvVars: []string{"COUNTERSIGN_DEMO_LIVE"}},
		&cli.Float64Flag{Name: "rate", Usage: "requests a second that the customers send; 0 is none", Value: 50, EnvVars: []string{"COUNTERSIGN_DEMO_RATE"}},
		&cli.Uint64Flag{Name: "seed", Usage: "makes latencies, errors and customers repeatable", Value: 1, EnvVars: []string{"COUNTERSIGN_DEMO_SEED"}},
		&cli.StringFlag{Name: "data", Usage: "directory that keeps the ledger; empty uses one that goes when the demo ends", EnvVars: []string{"COUNTERSIGN_DATA"}},
		&cli.StringFlag{Name: "log-level", Usage: "debug, info, warn or error", Value: "info", EnvVars: []string{"COUNTERSIGN_LOG_LEVEL"}},
	}
}

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:  "demo",
		Usage: "try it: a sample API with fault knobs, customers, the sidecar in front, and an inbox for its messages",
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
	g := newGuide(c, s, d)
	d.inbox.WhenEmpty(func() string { return g.inboxHint(s.inShadow(s.own.ID)) })
	if err := g.print(c.App.Writer); err != nil {
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
