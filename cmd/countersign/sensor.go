package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"

	"github.com/countersign-dev/countersign/capability"
	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/ebpf"
	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/proxy"
)

// sensor is what sees the traffic: the proxy in its way, the probe beside it, or both.
type sensor struct {
	kind string // config.SensorProxy, SensorEBPF or SensorBoth
	why  string // why it is the proxy although the probe was tried

	proxy   *proxy.Proxy // nil when the probe is alone
	traffic net.Listener // the proxy's

	probe    *ebpf.Probe         // nil when the proxy is alone
	port     uint16              // the probe's
	compared *histogram.Recorder // the probe's own where the proxy has the other; else nil
}

// choose attaches the probe where it is wanted, and says what is at work. The
// recorder is the one that everything is judged by.
func (s *sensor) choose(c config.Config, recorder *histogram.Recorder, h histogram.Config, log *slog.Logger) (err error) {
	s.kind = c.Sensor.Kind
	if !c.Sensor.Probes() {
		return nil
	}
	if s.kind == config.SensorBoth {
		if s.compared, err = histogram.NewRecorder(h); err != nil {
			return err
		}
		recorder = s.compared
	}
	err = s.attach(c, recorder, log)
	unavailable, denied := errors.AsType[*ebpf.Unavailable](err)
	switch {
	case err == nil && s.kind == config.SensorAuto:
		s.kind = config.SensorEBPF
	case denied && s.kind == config.SensorAuto && c.Upstream.URL == "":
		return fmt.Errorf("the eBPF probe cannot work here: %w; or name an upstream, for example --upstream http://127.0.0.1:8000, so that the proxy can take the probe's place", err)
	case denied && s.kind == config.SensorAuto:
		s.kind, s.why = config.SensorProxy, unavailable.Error()
		log.Warn("the eBPF probe cannot work here: the proxy takes its place, and measures what is sent through it", "listen", c.Listen.Address, "reason", s.why)
	case denied:
		return fmt.Errorf("the eBPF probe cannot work here: %w; countersign probe check says what this host allows, and --sensor auto takes the proxy where the probe cannot work", err)
	case err != nil:
		return err
	}
	return nil
}

func (s *sensor) attach(c config.Config, recorder *histogram.Recorder, log *slog.Logger) (err error) {
	if !c.ClearText() && c.Sensor.Port == 0 {
		return &ebpf.Unavailable{What: "the upstream " + c.Upstream.URL + " is not reached by HTTP/1.1 over TCP without TLS", Mend: "name the port on which the API does speak it with --port"}
	}
	if s.port, err = c.ProbePort(); err != nil {
		return err
	}
	s.probe, err = ebpf.Open(ebpf.Config{Port: s.port, Attach: ebpf.Attach(c.Sensor.Attach), Recorder: recorder, Log: log})
	return err
}

// proxies says that the proxy is at work.
func (s *sensor) proxies() bool { return s.kind != config.SensorEBPF }

// giveUp leaves the process without the capabilities that only the probe's start needed.
func (s *sensor) giveUp() error {
	if s.probe == nil {
		return nil
	}
	if err := capability.Drop(); err != nil {
		return fmt.Errorf("the eBPF probe is attached, and what it needed for that could not be given up: %w", err)
	}
	return nil
}

// listen takes the proxy's port.
func (s *sensor) listen(address string) (err error) {
	if s.proxies() {
		s.traffic, err = proxy.Listen(context.Background(), address)
	}
	return cannotListen(err, address, "--listen")
}

// address is where clients send their traffic, empty when that is the API itself.
func (s *sensor) address() string {
	if s.traffic == nil {
		return ""
	}
	return s.traffic.Addr().String()
}

// close ends what choose and listen began.
func (s *sensor) close() {
	if s.traffic != nil {
		_ = s.traffic.Close()
	}
	if s.probe != nil {
		_ = s.probe.Close()
	}
}

// runProbe runs it until ctx ends. Its end is the sidecar's where nothing else
// measures; a panic costs the proxy's traffic nothing.
func (s *sidecar) runProbe(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic in the eBPF probe", "panic", v, "stack", string(debug.Stack()))
			err = errors.New("it panicked")
		}
		if err != nil && !s.proxies() {
			s.failed <- fmt.Errorf("the eBPF probe stopped: %w", err)
			err = nil
		}
	}()
	return s.probe.Run(ctx)
}

// tell adds to the admin API what the sensors at work count.
func (s *sensor) tell(a *api.Config) {
	a.Sensor, a.SensorReason, a.Listen, a.Compared = s.kind, s.why, s.address(), s.compared
	if s.proxy != nil {
		a.Stats = func() api.ProxyStats { return api.ProxyStats(s.proxy.Stats()) }
	}
	if s.probe != nil {
		a.Probe = func() api.ProbeStats { return probeStats(s.port, s.probe.Stats()) }
	}
}

func probeStats(port uint16, p ebpf.Stats) api.ProbeStats {
	s := api.ProbeStats{
		Port: port, Attach: string(p.Attach), Interfaces: p.Interfaces, Connections: p.Connections, InFlight: p.InFlight,
		Seen: p.Measured, Measured: p.Measured, Unmeasured: map[string]uint64{}, MemoryBytes: p.KernelMemory,
	}
	for reason, n := range p.Unmeasured {
		s.Unmeasured[reason.String()] = n
		s.Seen += n
	}
	return s
}

// serving is what the log says of the sensors when they are at work.
func (s *sensor) serving(upstream string) []any {
	var words []any
	if s.traffic != nil {
		words = append(words, "listen", s.address())
	}
	if upstream != "" {
		words = append(words, "upstream", upstream)
	}
	if s.probe != nil {
		p := s.probe.Stats()
		words = append(words, "sensor", s.kind, "port", s.port, "attach", p.Attach, "interfaces", p.Interfaces)
	}
	return words
}
