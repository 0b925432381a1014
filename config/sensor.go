package config

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
)

// Proxies says that the sensor wants the proxy whatever the host allows.
func (s Sensor) Proxies() bool { return s.Kind == SensorProxy || s.Kind == SensorBoth }

// Probes says that the sensor wants the eBPF probe, if it is allowed.
func (s Sensor) Probes() bool { return s.Kind != SensorProxy }

// ProbePort is the port that the probe watches: the one given, else the upstream's.
func (c Config) ProbePort() (uint16, error) {
	if c.Sensor.Port != 0 {
		return uint16(c.Sensor.Port), nil
	}
	u, err := url.Parse(c.Upstream.URL)
	if err != nil || u.Host == "" {
		return 0, errors.New("the eBPF probe does not know which port to watch: name the API's own, for example --port 8000")
	}
	if u.Port() == "" {
		return 80, nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		return 0, errors.New("the upstream's port is not one that the eBPF probe can watch: name the API's own, for example --port 8000")
	}
	return uint16(port), nil
}

// ClearText says that the upstream is reached by HTTP/1.1 over TCP, which is
// all that the probe can read.
func (c Config) ClearText() bool {
	return c.Upstream.URL == "" || strings.HasPrefix(c.Upstream.URL, "http://")
}

// sensor checks the settings that only one of the sensors has.
func (l *Loaded) sensor(add func(key, text string)) {
	const kind = "sensor.kind"
	if !l.Sensor.Probes() {
		for _, key := range []string{"sensor.port", "sensor.attach"} {
			if l.Origin(key).Source != FromDefault {
				add(key, key+" is for the eBPF probe, and "+kind+" is "+l.Sensor.Kind+": give --sensor ebpf, both or auto")
			}
		}
		return
	}
	if !l.Measure.Enabled {
		add("measure.enabled", "measure.enabled is false, and "+kind+" is "+l.Sensor.Kind+": a probe that measures nothing has no use")
	}
	named := l.Sensor.Kind == SensorEBPF && l.Sensor.Port != 0 // and the upstream is only checked
	if l.Sensor.Kind != SensorAuto && !named && !l.ClearText() {
		add(kind, kind+" is "+l.Sensor.Kind+", and the probe cannot read what goes to "+l.Upstream.URL+": it reads HTTP/1.1 over TCP without TLS")
	}
	if l.Sensor.Kind == SensorEBPF {
		for _, key := range []string{"listen.address", "listen.cert_file", "listen.key_file", "health.expose"} {
			if l.Origin(key).Source != FromDefault {
				add(key, key+" is for the proxy, and "+kind+" is "+l.Sensor.Kind+": leave it out, or give --sensor both or auto")
			}
		}
	}
}
