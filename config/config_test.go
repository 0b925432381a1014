package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/proxy"
)

func TestProxyConfigTakesEverySetting(t *testing.T) {
	c := Default()
	for i, f := range fields {
		switch p := f.at(&c).(type) {
		case *string:
			*p = fmt.Sprintf("text%d", i)
		case *int:
			*p = 1000 + i
		case *Size:
			*p = Size(2000 + i)
		case *time.Duration:
			*p = time.Duration(3000 + i)
		}
	}
	c.Forwarded.TrustedProxies = []string{"10.1.2.3/8", "::1"}
	got := reflect.ValueOf(c.Proxy())
	// Health, Recorder and Log are wired by the caller.
	wired := []string{"Health", "Recorder", "Log"}
	for i := range got.NumField() {
		name := got.Type().Field(i).Name
		if got.Field(i).IsZero() && !slices.Contains(wired, name) {
			t.Errorf("proxy.Config.%s is not set by any setting", name)
		}
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if p := c.Proxy().TrustedProxies; !slices.Equal(p, want) {
		t.Errorf("trusted proxies are %v, want %v", p, want)
	}
}

func TestHistogramConfig(t *testing.T) {
	c := Default()
	c.Measure.Routes = []string{"GET /users/{id}"}
	h, err := c.Histogram()
	if err != nil || h.Window != time.Minute || h.MaxRoutes != 200 || h.Templates == nil {
		t.Errorf("got %+v, %v", h, err)
	}
	c.Measure.Routes, c.Measure.OpenAPI = nil, "/nonexistent/api.yaml"
	if _, err := c.Histogram(); err == nil || !strings.Contains(err.Error(), "/nonexistent/api.yaml") {
		t.Errorf("a missing OpenAPI file gives %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, tc := range []struct{ url, name, want string }{
		{"http://shop:8000", "", "shop:8000"},
		{"http://shop:8000", "checkout", "checkout"},
		{"unix:///run/api.sock", "", "api"},
	} {
		c := Default()
		c.Upstream.URL, c.Service.Name = tc.url, tc.name
		if got := c.ServiceName(); got != tc.want {
			t.Errorf("%q %q: service %q, want %q", tc.url, tc.name, got, tc.want)
		}
	}
	c := Default()
	if c.InstanceID() == "" {
		t.Error("no instance name")
	}
	c.Log.Level = "warn"
	if c.LogLevel() != slog.LevelWarn {
		t.Errorf("level is %v", c.LogLevel())
	}
}

func TestSize(t *testing.T) {
	for s, want := range map[string]Size{
		"0": 0, "17": 17, "17B": 17, "1KiB": 1024, "3 MiB": 3 << 20, "2GiB": 2 << 30, "5KB": 5000, "1MB": 1e6, "1GB": 1e9,
		"9223372036854775807": 1<<63 - 1,
	} {
		if got, err := ParseSize(s); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "KiB", "-1", "1.5MiB", "1TiB", "9223372036854775808", "9007199254740992KiB", "1kib", "0x10"} {
		if got, err := ParseSize(s); err == nil {
			t.Errorf("%q was read as %d", s, got)
		}
	}
	for s, want := range map[Size]string{0: "0", 1000: "1000", 1024: "1KiB", 3 << 20: "3MiB", 1 << 30: "1GiB", 1536: "1536"} {
		if got := s.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(s), got, want)
		}
	}
}

func TestReloadKeepsWhatNeedsARestart(t *testing.T) {
	parse := func(file string) *Loaded {
		l, err := Parse("c.yaml", []byte(file))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	was := parse("listen: {address: \":1\"}\nlog: {level: info}\ntimeouts: {total: 5s}\n")
	next := parse("listen: {address: \":2\"}\nlog: {level: debug}\nlimits: {max_body: 1MiB}\n")
	merged, changes := was.Reload(next)
	var keys []string
	for _, c := range changes {
		keys = append(keys, fmt.Sprintf("%s %s→%s %v", c.Field.Key, c.Old, c.New, c.Applied))
	}
	want := []string{"listen.address :1→:2 false", "log.level info→debug true", "limits.max_body 0→1MiB true", "timeouts.total 5s→0s true"}
	if !slices.Equal(keys, want) {
		t.Errorf("changes\n%q, want\n%q", keys, want)
	}
	if merged.Listen.Address != ":1" || merged.Log.Level != "debug" || merged.Timeouts.Total != 0 {
		t.Errorf("merged to %+v", merged.Config)
	}
	if was.Log.Level != "info" || next.Listen.Address != ":2" {
		t.Error("an argument was modified")
	}
	if _, again := merged.Reload(next); len(again) != 1 || again[0].Field.Key != "listen.address" {
		t.Errorf("a second reload finds %v", again)
	}
}

func TestSwitchingTLSNeedsARestart(t *testing.T) {
	plain, tls := &Loaded{Config: Default()}, &Loaded{Config: Default()}
	tls.Listen.CertFile, tls.Listen.KeyFile = "c.pem", "k.pem"
	other := &Loaded{Config: tls.Config}
	other.Listen.CertFile = "new.pem"
	for _, tc := range []struct {
		name      string
		from, to  *Loaded
		applied   bool
		cert, key string
	}{
		{"on", plain, tls, false, "", ""},
		{"off", tls, plain, false, "c.pem", "k.pem"},
		{"another file", tls, other, true, "new.pem", "k.pem"},
	} {
		merged, changes := tc.from.Reload(tc.to)
		for _, c := range changes {
			if c.Applied != tc.applied {
				t.Errorf("%s: %s applied is %v", tc.name, c.Field.Key, c.Applied)
			}
		}
		if len(changes) == 0 || merged.Listen.CertFile != tc.cert || merged.Listen.KeyFile != tc.key {
			t.Errorf("%s: %d changes, merged to %+v", tc.name, len(changes), merged.Listen)
		}
	}
}

// TestReloadableAgreesWithTheProxy asks the proxy, setting by setting, what it
// can take over while it runs.
func TestReloadableAgreesWithTheProxy(t *testing.T) {
	base := Default()
	base.Upstream.URL = "https://api"
	for _, f := range fields {
		changed := base
		if err := f.set(&changed, samples(f)[2]); err != nil {
			t.Fatalf("%s %v", f.Key, err)
		}
		if reflect.DeepEqual(base.Proxy(), changed.Proxy()) || ofCertificate(f) || f.Key == "upstream.ca_file" {
			continue // not the proxy's, or a file
		}
		from, to := base.Proxy(), changed.Proxy()
		from.Health = func() []byte { return nil }
		p, err := proxy.New(from)
		if err != nil {
			t.Fatal(err)
		}
		needRestart, err := p.Reload(to)
		if err != nil {
			t.Errorf("%s: %v", f.Key, err)
		}
		if (len(needRestart) == 0) != f.Reloadable {
			t.Errorf("%s is said to be reloadable: %v; the proxy asks to restart for %q", f.Key, f.Reloadable, needRestart)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	got := UnknownVariables([]string{
		"COUNTERSIGN_LISTN=:1", "COUNTERSIGN_LISTEN=:1", "COUNTERSIGN_CONFIG=x", "COUNTERSIGN_CONFG=x", "PATH=/bin",
		"COUNTERSIGN_PORT_9090_TCP_ADDR=10.0.0.1", "COUNTERSIGN_SERVICE_HOST=10.0.0.1", "COUNTERSIGN_PORT=tcp://10.0.0.1:80",
	}, []string{"COUNTERSIGN_CONFIG"})
	want := []string{
		"COUNTERSIGN_LISTN is not a setting; did you mean COUNTERSIGN_LISTEN?",
		"COUNTERSIGN_CONFG is not a setting; did you mean COUNTERSIGN_CONFIG?",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestBadOverridesNameTheirSource(t *testing.T) {
	_, err := Load(Sources{Flags: map[string]string{"listen": "8080"}})
	if want := `--listen: listen.address must be HOST:PORT or :PORT; did you mean ":8080"?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = Load(Sources{Getenv: func(name string) string {
		if name == "COUNTERSIGN_LOG_LEVEL" {
			return "loud"
		}
		return ""
	}})
	if want := `$COUNTERSIGN_LOG_LEVEL: log.level must be one of debug, info, warn, error, not "loud"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
