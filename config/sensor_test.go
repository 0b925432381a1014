package config

import (
	"strings"
	"testing"
)

func TestSensorSettingsFitTogether(t *testing.T) {
	for _, tc := range []struct{ file, problem string }{
		{"sensor: {kind: ebpf, port: 8000}", ""},
		{"sensor: {kind: ebpf}\nupstream: {url: http://api}", ""},
		{"sensor: {kind: auto}\nupstream: {url: https://api}", ""},
		{"sensor: {kind: ebpf, port: 8000}\nupstream: {url: https://api}", ""},
		{"sensor: {kind: both}\nupstream: {url: http://api}\nlisten: {address: \":8081\"}", ""},
		{"sensor: {kind: epbf}", "c.yaml:1:16: sensor.kind must be one of proxy, ebpf, both, auto, not \"epbf\"; did you mean \"ebpf\"?"},
		{"sensor: {kind: ebpf, port: 70000}", "must lie between 0 and 65535"},
		{"sensor: {kind: ebpf, attach: xdp}", "sensor.attach must be one of auto, tcx, socket"},
		{"sensor: {port: 8000}", "sensor.port is for the eBPF probe, and sensor.kind is proxy"},
		{"sensor: {attach: tcx}", "sensor.attach is for the eBPF probe"},
		{"sensor: {kind: both}\nupstream: {url: https://api}", "cannot read what goes to https://api"},
		{"sensor: {kind: ebpf}\nupstream: {url: unix:///run/api.sock}", "cannot read what goes to unix:///run/api.sock"},
		{"sensor: {kind: ebpf, port: 8000}\nlisten: {address: \":8081\"}", "listen.address is for the proxy, and sensor.kind is ebpf"},
		{"sensor: {kind: ebpf, port: 8000}\nhealth: {expose: /health}", "health.expose is for the proxy"},
		{"sensor: {kind: auto}\nmeasure: {enabled: false}", "a probe that measures nothing has no use"},
	} {
		_, err := Parse("c.yaml", []byte(tc.file))
		switch {
		case tc.problem == "" && err != nil:
			t.Errorf("%s: %v", tc.file, err)
		case tc.problem != "" && (err == nil || !strings.Contains(err.Error(), tc.problem)):
			t.Errorf("%s: %v, want %q in it", tc.file, err, tc.problem)
		}
	}
}

func TestProbePort(t *testing.T) {
	for _, tc := range []struct {
		port     int
		upstream string
		want     uint16 // 0 is an error
	}{
		{8000, "", 8000}, {8000, "http://api:9000", 8000}, {0, "http://api:9000", 9000}, {0, "http://[::1]:9000", 9000},
		{0, "http://api", 80}, {0, "", 0}, {0, "unix:///run/api.sock", 0}, {0, "http://api:99999", 0},
	} {
		c := Default()
		c.Sensor.Port, c.Upstream.URL = tc.port, tc.upstream
		got, err := c.ProbePort()
		if got != tc.want || (err == nil) != (tc.want != 0) {
			t.Errorf("port %d and upstream %q: %d, %v, want %d", tc.port, tc.upstream, got, err, tc.want)
		}
		if err != nil && !strings.Contains(err.Error(), "--port 8000") {
			t.Errorf("%v does not say how to mend it", err)
		}
	}
}

// TestServiceLinksAreNoSettings has a Service of the sidecar's own name.
func TestServiceLinksAreNoSettings(t *testing.T) {
	environment := func(v string) Sources {
		return Sources{Flags: map[string]string{"sensor": "ebpf"}, Getenv: func(name string) string {
			if name == "COUNTERSIGN_PORT" {
				return v
			}
			return ""
		}}
	}
	if l, err := Load(environment("tcp://10.96.0.7:8080")); err != nil || l.Sensor.Port != 0 {
		t.Errorf("what Kubernetes says of a Service gives %v", err)
	}
	if l, err := Load(environment("8000")); err != nil || l.Sensor.Port != 8000 {
		t.Errorf("a port gives %v", err)
	}
	if _, err := Load(environment("http")); err == nil {
		t.Error("a name was taken for a port")
	}
}
