package cost

import (
	"time"

	"github.com/countersign-dev/countersign/bench/stats"
)

// Report is what was measured. Times are in milliseconds, if their names say nothing else; figures of an arm are medians
// over rounds.
type Report struct {
	URL         string  `json:"url"`
	Method      string  `json:"method"`
	Rate        float64 `json:"requests_per_second"` // 0: as many as were answered
	Connections int     `json:"connections"`
	Rounds      int     `json:"rounds"`
	Seconds     float64 `json:"seconds_each"`
	CPUs        int     `json:"cpus"`
	System      string  `json:"system"`
	Version     string  `json:"version"`

	Direct     Arm `json:"direct"`
	Sidecar    Arm `json:"sidecar"`
	Forwarding Arm `json:"sidecar_measure_off"`

	Noise    Added `json:"direct_against_direct"` // what cannot be told from nothing
	Added    Added `json:"added_by_sidecar"`
	Measured Added `json:"added_by_measuring"` // of it: measuring against only forwarding
}

// Arm is one way to the API.
type Arm struct {
	P50         float64 `json:"p50_ms"`
	P95         float64 `json:"p95_ms"`
	P99         float64 `json:"p99_ms"`
	Throughput  float64 `json:"answers_per_second"`
	CPU         float64 `json:"cpu_us_per_request,omitempty"` // of the sidecar
	MemoryBytes uint64  `json:"memory_bytes,omitempty"`       // of the sidecar, the most that was resident
}

// Added is how one arm differs from another, with 95 % intervals.
type Added struct {
	P50        Interval `json:"p50_ms"`
	P95        Interval `json:"p95_ms"`
	P99        Interval `json:"p99_ms"`
	Throughput Interval `json:"throughput_ratio"`
}

// Interval is a figure and where it lies with 95 % confidence.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

func (p Plan) report(samples [arms][]sample) (Report, error) {
	r := Report{
		URL: p.Target.URL, Method: p.Request.Method, Rate: p.Rate, Connections: p.Connections, Rounds: p.Rounds, Seconds: p.For.Seconds(),
		Direct: summary(samples[direct]), Sidecar: summary(samples[measuring]), Forwarding: summary(samples[forwarding]),
	}
	var err error
	for _, c := range []struct {
		added    *Added
		arm, off arm
	}{{&r.Noise, again, direct}, {&r.Added, measuring, direct}, {&r.Measured, measuring, forwarding}} {
		if *c.added, err = difference(samples[c.arm], samples[c.off]); err != nil {
			return Report{}, err
		}
	}
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func p50(s sample) float64        { return milliseconds(s.p50) }
func p95(s sample) float64        { return milliseconds(s.p95) }
func p99(s sample) float64        { return milliseconds(s.p99) }
func throughput(s sample) float64 { return s.throughput }
func cpu(s sample) float64        { return float64(s.cpu) / float64(time.Microsecond) }

func each(samples []sample, figure func(sample) float64) []float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, figure(s))
	}
	return all
}

func summary(samples []sample) Arm {
	median := func(figure func(sample) float64) float64 { return stats.Median(each(samples, figure)) }
	return Arm{P50: median(p50), P95: median(p95), P99: median(p99), Throughput: median(throughput), CPU: median(cpu)}
}

func difference(a, b []sample) (added Added, err error) {
	for _, c := range []struct {
		to      *Interval
		figure  func(sample) float64
		compare func(a, b []float64) (stats.Interval, error)
	}{
		{&added.P50, p50, stats.Difference}, {&added.P95, p95, stats.Difference}, {&added.P99, p99, stats.Difference},
		{&added.Throughput, throughput, stats.Ratio},
	} {
		i, err := c.compare(each(a, c.figure), each(b, c.figure))
		if err != nil {
			return Added{}, err
		}
		*c.to = Interval(i)
	}
	return added, nil
}

// within says that a difference cannot be told from the noise: its interval and that of the noise share a figure.
func (i Interval) within(noise Interval) bool { return i.Low <= noise.High && noise.Low <= i.High }
