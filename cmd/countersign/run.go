package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
)

func runCommand() *cli.Command {
	set := newSettings()
	return &cli.Command{
		Name:  "run",
		Usage: "stand in front of an API, or beside it, and measure it",
		Flags: set.flags,
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			loaded, err := config.Load(set.sources(c))
			if err != nil {
				return err
			}
			log, level := newLog(loaded.Config, c.App.ErrWriter)
			warnVariables(c.App, func(text string) { log.Warn(text) })
			r := &runner{loaded: loaded, sources: set.sources(c), log: log, level: level}
			return r.run()
		},
	}
}

// runner is a sidecar under the operator's signals.
type runner struct {
	loaded  *config.Loaded
	sources config.Sources
	log     *slog.Logger
	level   *slog.LevelVar
	sidecar *sidecar
}

func (r *runner) run() (err error) {
	limitMemory(cgroupLimit)
	collectOften()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(signals)

	if r.sidecar, err = newSidecar(r.loaded.Config, r.log); err != nil {
		return err
	}
	defer r.sidecar.close()
	returnStartPages()
	r.sidecar.startAdmin()
	if !r.sidecar.proxies() {
		useOneProcessor()
	} else if stopped, err := r.awaitUpstream(signals); stopped || err != nil {
		return err
	}
	r.sidecar.startTraffic()
	r.sidecar.whenSettled(returnStartPages)
	serving := append(r.sidecar.serving(r.loaded.Upstream.URL), "admin", r.sidecar.adminListener.Addr().String())
	if r.sidecar.public != nil {
		serving = append(serving, "approvals", r.sidecar.public.listener.Addr().String())
	}
	r.log.Info("serving", append(serving, "version", buildInfo().Version)...)
	for {
		select {
		case err := <-r.sidecar.failed:
			return err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				r.reload()
				continue
			}
			return r.drain(sig, signals)
		}
	}
}

// awaitUpstream waits for the API, and stops at a signal to end.
func (r *runner) awaitUpstream(signals <-chan os.Signal) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	found := make(chan error, 1)
	r.sidecar.unready("waiting for the upstream")
	// A reload may put another configuration in r meanwhile.
	c := r.loaded.Config
	go func() { found <- awaitUpstream(ctx, c, r.log) }()
	for {
		select {
		case err := <-found:
			return false, err
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				r.reload()
				continue
			}
			r.log.Info("stopped before the upstream was reached", "signal", sig.String())
			return true, nil
		}
	}
}

// drain ends the run: at once when a second signal says so.
func (r *runner) drain(sig os.Signal, signals <-chan os.Signal) error {
	limit := r.loaded.Timeouts.Drain
	if r.sidecar.proxies() {
		r.log.Info("finishing the requests in flight", "signal", sig.String(), "limit", limit)
	} else {
		r.log.Info("stopping", "signal", sig.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begin := time.Now()
	drained := make(chan error, 1)
	go func() { drained <- r.sidecar.drain(ctx) }()
	for {
		select {
		case err := <-drained:
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("requests were still in flight after %v and have been cut off: raise --drain-timeout to give them longer", limit)
			}
			r.log.Info("stopped", "took", time.Since(begin).Round(time.Millisecond))
			return err
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				return fmt.Errorf("a second signal (%s) came: stopped at once, requests in flight were cut off", sig)
			}
		}
	}
}
