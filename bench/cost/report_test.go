package cost

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/bench/load"
)

// rounds makes samples of one arm: its P50 in milliseconds, the others from it.
func rounds(p50s ...float64) []sample {
	var all []sample
	for _, v := range p50s {
		d := time.Duration(v * float64(time.Millisecond))
		all = append(all, sample{p50: d, p95: 2 * d, p99: 3 * d, throughput: 1000 / v, cpu: 40 * time.Microsecond})
	}
	return all
}

func plan() Plan {
	return Plan{Target: Target{URL: "http://h/"}, Request: load.Request{Method: "GET"}, Rate: 100, Connections: 8, Rounds: 5, For: time.Second}
}

func TestReport(t *testing.T) {
	// A disturbance of 5 ms is in all arms of the fourth round.
	r, err := plan().report([arms][]sample{
		direct:     rounds(1.0, 1.1, 1.0, 6.0, 1.0),
		again:      rounds(1.0, 1.0, 1.1, 6.0, 1.0),
		measuring:  rounds(1.5, 1.6, 1.5, 6.5, 1.5),
		forwarding: rounds(1.3, 1.4, 1.3, 6.3, 1.3),
	})
	if err != nil {
		t.Fatal(err)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("direct P50", r.Direct.P50, 1)
	near("sidecar P99", r.Sidecar.P99, 4.5)
	near("CPU", r.Sidecar.CPU, 40)
	near("added P50", r.Added.P50.Value, 0.5)
	near("added P50, low", r.Added.P50.Low, 0.5)
	near("added P50, high", r.Added.P50.High, 0.5)
	near("added P95", r.Added.P95.Value, 1)
	near("measuring", r.Measured.P99.Value, 0.6)
	near("throughput", r.Added.Throughput.Value, 1/1.5)
	near("noise", r.Noise.P50.Value, 0)
	if r.Noise.P50.Low >= 0 || r.Noise.P50.High <= 0 {
		t.Errorf("the noise is %+v", r.Noise.P50)
	}
	r.Sidecar.MemoryBytes, r.CPUs, r.System = 24<<20, 2, "Linux 6"
	text := r.String()
	for _, want := range []string{
		"GET http://h/\n100 requests a second over 8 connections; 5 rounds of 1s each way",
		"the sidecar adds         +0.500 ms (+0.500 to +0.500)",
		"To the request in the middle the sidecar adds 0.500 ms, to the slowest one in twenty 1.000 ms. It takes 40 µs of a processor for each request, and 24.0 MiB of memory.",
		"At this rate that is 0.4 % of one processor.", "Measuring is 0.200 ms of it.",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	r.Rate, r.Measured.P50.Low = 0, -1
	for _, want := range []string{"667 requests a second are answered instead of 1000", "What of it is measuring cannot be told"} {
		if text := r.Sentence(); !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
}

// TestNoiseIsNotSoldAsCost: what the API differs from itself by, the sidecar is not said to add.
func TestNoiseIsNotSoldAsCost(t *testing.T) {
	r, err := plan().report([arms][]sample{
		direct:     rounds(1.0, 2.0, 1.0, 2.0, 1.5),
		again:      rounds(2.0, 1.0, 1.5, 1.2, 1.5),
		measuring:  rounds(1.2, 2.1, 1.1, 2.3, 1.6),
		forwarding: rounds(1.1, 2.2, 1.2, 2.2, 1.6),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Sentence(), "the sidecar adds no more than can be told from noise, to the slowest one in twenty no more than") {
		t.Error(r.Sentence())
	}
}

func TestEnough(t *testing.T) {
	second := load.Result{For: time.Second, Done: 100, Answered: 100}
	for _, c := range []struct {
		name   string
		change func(*load.Result)
		want   string
	}{
		{"all", func(*load.Result) {}, ""},
		{"a short pause", func(r *load.Result) { r.Answered = 80 }, ""},
		{"a queue", func(r *load.Result) { r.Answered = 70 }, "answered 70: give --rate less"},
		{"nothing in time", func(r *load.Result) { r.Answered = 0 }, "no request"},
		{"failures", func(r *load.Result) {
			r.Failed, r.Errors = 7, map[string]uint64{"answered 500": 3, "answered 503": 4}
		}, "7 of 107 requests to http://h/ failed (answered 503)"},
	} {
		r := second
		c.change(&r)
		err := plan().enough(r)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	saturated := plan()
	saturated.Rate = 0
	if err := saturated.enough(second); err != nil {
		t.Error(err)
	}
}

func TestSidecarThatDoesNotStart(t *testing.T) {
	if _, err := startSidecar(t.Context(), "/nonexistent/countersign", "127.0.0.1:1", true); err == nil || !strings.Contains(err.Error(), "cannot start a sidecar") {
		t.Error(err)
	}
	if _, err := startSidecar(t.Context(), "/bin/false", "127.0.0.1:1", true); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Error(err)
	}
}

func TestHostOfTheTarget(t *testing.T) {
	p := plan()
	p.Target.Host, p.Target.Path = "h:8", "/a?b"
	for _, c := range []struct{ given, want string }{
		{"Accept: x", "Host: h:8, Accept: x"}, {"host: other", "host: other"},
	} {
		p.Request.Header = []string{c.given}
		if got := p.addressed(); strings.Join(got.Header, ", ") != c.want || got.Path != "/a?b" {
			t.Errorf("%q: %+v, want %q", c.given, got, c.want)
		}
	}
}
