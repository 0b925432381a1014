package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/journal"
	"github.com/countersign-dev/countersign/proxy"
)

// sidecar is the parts of one sidecar, wired.
type sidecar struct {
	recorder *histogram.Recorder
	*decisions
	sensor
	admin *http.Server
	log   *slog.Logger

	adminListener net.Listener

	// notReady says why /readyz must refuse; empty while traffic is served.
	notReady atomic.Pointer[string]
	// failed receives the end of the only sensor, should it come unasked.
	failed chan error

	beside  context.Context // of what runs beside the traffic, set by startAdmin
	stop    context.CancelFunc
	running sync.WaitGroup
	// What has effects ends before what records them.
	stopEffects context.CancelFunc
	effects     sync.WaitGroup
}

// newSidecar makes every part and takes all ports, so that what is wrong is
// found before the first request. Close it.
func newSidecar(c config.Config, log *slog.Logger) (*sidecar, error) {
	s := &sidecar{log: log, failed: make(chan error, 1)}
	s.unready("starting")
	if err := s.open(c); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

func (s *sidecar) open(c config.Config) (err error) {
	if err := s.makeParts(c); err != nil {
		return err
	}
	if err := s.sensor.listen(c.Listen.Address); err != nil {
		return err
	}
	if s.adminListener, err = listen(c.Admin.Address, "--admin"); err != nil {
		return err
	}
	if s.public != nil {
		if err := s.public.listen(c.Approval.Listen); err != nil {
			return err
		}
	}
	if s.admin, err = api.New(s.adminConfig(c)); err != nil {
		return err
	}
	return s.giveUp()
}

func (s *sidecar) makeParts(c config.Config) error {
	p := c.Proxy()
	p.Health, p.Log = func() []byte { return s.brain.JSON() }, s.log
	if c.Sensor.Proxies() {
		if err := p.Validate(); err != nil { // what every other part takes to be sound
			return err
		}
	}
	h, err := c.Histogram()
	if err != nil {
		return err
	}
	if s.recorder, err = histogram.NewRecorder(h); err != nil {
		return err
	}
	if err := s.choose(c, s.recorder, h, s.log); err != nil {
		return err
	}
	if s.decisions, err = newDecisions(c, s.log); err != nil {
		return err
	}
	if err := s.addBrain(c, s.recorder, s.counters, s.log); err != nil {
		return err
	}
	if !s.proxies() {
		return nil
	}
	if c.Measure.Enabled {
		p.Recorder = s.recorder
	}
	s.proxy, err = proxy.New(p)
	return err
}

// counters are the proxy's, of which there is none while the rest is made.
func (s *sidecar) counters() diagnosis.Counters {
	if s.proxy == nil {
		return diagnosis.Counters{}
	}
	stats := s.proxy.Stats()
	return diagnosis.Counters{Failures: stats.Errors, Statuses: stats.Statuses, Connects: stats.Connects, ConnectTime: stats.ConnectTime}
}

func (s *sidecar) adminConfig(c config.Config) api.Config {
	a := api.Config{
		Orchestrator: s.brain,
		Recorder:     s.recorder,
		Journal:      s.journal,
		Ready: func() error {
			if why := s.notReady.Load(); why != nil {
				return errors.New(*why)
			}
			return nil
		},
		Build:        buildInfo(),
		StartedAt:    time.Now(),
		Upstream:     c.Upstream.URL,
		Admin:        s.adminListener.Addr().String(),
		Own:          s.own,
		Others:       s.others,
		Docket:       s.docket,
		Outbox:       s.outbox,
		Report:       s.shadowReport,
		Changes:      s.receiver,
		AllowedHosts: c.Admin.AllowedHosts,
		Log:          s.log,
	}
	s.tell(&a)
	return a
}

// listen takes a port, or says in one line why it cannot.
func listen(address, flag string) (net.Listener, error) {
	ln, err := net.Listen("tcp", address)
	return ln, cannotListen(err, address, flag)
}

// cannotListen says in one line why a port could not be taken, and what to do.
func cannotListen(err error, address, flag string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another process uses that port; choose another with %s", address, flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot listen on %s: not permitted for this user; choose a port above 1023 with %s", address, flag)
	case err != nil:
		return fmt.Errorf("cannot listen on %s: %w", address, err)
	}
	return nil
}

func (s *sidecar) unready(why string) { s.notReady.Store(&why) }

// startAdmin starts measuring, judging, the ledger and the admin API. Trouble of theirs
// is logged and never reaches the traffic.
func (s *sidecar) startAdmin() {
	s.beside, s.stop = context.WithCancel(context.Background())
	s.begin(s.beside, &s.running, s.runs())
	var effects context.Context
	effects, s.stopEffects = context.WithCancel(context.Background())
	s.begin(effects, &s.effects, s.effectRuns())
	s.running.Go(func() {
		if err := s.admin.Serve(s.adminListener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the admin API stopped; traffic goes on", "error", err)
		}
	})
}

// begin runs parts until ctx ends.
func (s *sidecar) begin(ctx context.Context, group *sync.WaitGroup, runs map[string]func(context.Context) error) {
	for name, run := range runs {
		group.Go(func() {
			if err := run(ctx); err != nil {
				s.log.Error("a part stopped; traffic goes on", "part", name, "error", err)
			}
		})
	}
}

// effectRuns are the parts that people outside notice, by name.
func (s *sidecar) effectRuns() map[string]func(context.Context) error {
	runs := map[string]func(context.Context) error{"outbox": s.runOutbox}
	if s.counsel != nil {
		runs["diagnosis"] = s.runCounsel
	}
	if s.public != nil {
		runs["approvals"] = s.public.run
		if s.public.certificate != nil {
			runs["certificate of approvals"] = s.public.certificate.Run
		}
	}
	return runs
}

// runs are the parts that run beside the traffic, by name.
func (s *sidecar) runs() map[string]func(context.Context) error {
	runs := map[string]func(context.Context) error{
		"recorder": s.recorder.Run, "orchestrator": s.brain.Run, "ledger": s.journal.Run,
		"checks": s.checks.Run, "history": s.history.Run,
	}
	if s.poller != nil {
		runs["changes"] = s.poller.Run
	}
	if s.probe != nil {
		runs["probe"] = s.runProbe
	}
	if s.compared != nil {
		runs["recorder of the probe"] = s.compared.Run
	}
	for i, t := range s.tenants {
		runs["tenant "+s.others[i].ID] = t.Run
	}
	return runs
}

// whenSettled calls f when the ledger has been read, or cannot be. It looks four
// times a second: an empty ledger is ready by then, and the probe's first reading,
// after a second, takes memory that is better had after f has given some back.
func (s *sidecar) whenSettled(f func()) {
	s.running.Go(func() {
		look := time.NewTicker(time.Second / 4)
		defer look.Stop()
		for {
			select {
			case <-s.beside.Done():
				return
			case <-look.C:
			}
			v, _ := s.docket.View(s.own.ID)
			if state := s.journal.Report().State; v.Ready || state != journal.Checking && state != journal.Open {
				f()
				return
			}
		}
	})
}

// startTraffic starts serving the proxied port, if there is one.
func (s *sidecar) startTraffic() {
	if s.proxy != nil {
		s.running.Go(func() { s.failed <- s.proxy.Serve(s.traffic) })
	}
	s.notReady.Store(nil)
}

// drain lets the requests in flight finish, for as long as ctx allows.
func (s *sidecar) drain(ctx context.Context) error {
	s.unready("shutting down")
	if s.proxy == nil {
		return nil
	}
	return s.proxy.Shutdown(ctx)
}

// close ends what drain leaves: the admin API, which answers until then.
func (s *sidecar) close() {
	if s.stop != nil {
		s.stopEffects()
		s.effects.Wait()
		s.stop()
	}
	_ = s.admin.Close()
	s.closeListeners()
	s.running.Wait()
	s.sensor.close()
	if err := s.changes.Close(); err != nil {
		s.log.Warn("the file of changes did not close cleanly", "error", err)
	}
}

func (s *sidecar) closeListeners() {
	if s.traffic != nil {
		_ = s.traffic.Close()
	}
	if s.adminListener != nil {
		_ = s.adminListener.Close()
	}
	if s.decisions != nil {
		s.public.close()
	}
}

// release ends what was opened of a sidecar that could not be made.
func (s *sidecar) release() {
	s.closeListeners()
	s.sensor.close()
}
