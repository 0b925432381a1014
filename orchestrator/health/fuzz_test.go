package health

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// FuzzJudge plays any sequence of ticks, under any parameters that
// Validate accepts, and checks what must hold of every document.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{}, 1000.0, 3000.0, 0.02, 0.05, 3.0, uint8(20), false)
	f.Add([]byte("0123456789012345678901234567890123456789"), 1000.0, 3000.0, 0.02, 0.05, 3.0, uint8(1), true)
	f.Add(make([]byte, 400), 1e-9, 1e9, 1e-9, 0.9, 0.1, uint8(1), true)
	f.Fuzz(func(t *testing.T, ticks []byte, p95Warn, p95Crit, errWarn, errCrit, z float64, minSamples uint8, adaptive bool) {
		p := DefaultParams()
		p.P95MS, p.ErrorRate = Limit{p95Warn, p95Crit}, Limit{errWarn, errCrit}
		p.ZThreshold, p.MinSamples, p.MinTickSamples = z, uint64(minSamples), 1
		if adaptive {
			p.Gates.Adaptive = On
		}
		p.MinBaselineTicks, p.MinEffectMS, p.MinEffectShare = 2, 0, 0
		if p.Validate() != nil {
			t.Skip("not parameters")
		}
		var s State
		for i := 0; i < 100 && len(ticks) >= 12; i++ {
			tr := fuzzTraffic(ticks[:12])
			ticks = ticks[12:]
			at := start.Add(time.Duration(i) * 5 * time.Second)
			var v Verdict
			s, v = Judge(s, Measure(at, tr.Snapshot, tr.Snapshot), p)
			checkDocument(t, NewDocument(v, About{Time: at, Routes: RoutesOf(tr.Snapshot)}))
		}
		if len(s.Scores) > p.TrendScores || len(s.BaselineMS) > p.MaxBaselineTicks {
			t.Fatalf("the state grew to %d scores and %d ticks", len(s.Scores), len(s.BaselineMS))
		}
	})
}

func fuzzTraffic(b []byte) traffic {
	tr := newTraffic(time.Duration(b[0]) * time.Second)
	d := time.Duration(binary.LittleEndian.Uint32(b[1:])) << (b[5] % 16)
	tr.requests("GET /a", int(b[6]), d, histogram.Outcome(b[7]%uint8(histogram.NumOutcomes)))
	tr.requests("POST /webhook", int(b[8]%16), d/2, histogram.Success)
	tr.waiting("GET /b", int(b[9]%32), d*2)
	tr.unmeasured(histogram.Reason(b[10]%uint8(histogram.NumReasons)), int(b[11]%8))
	tr.InFlightIncluded = int(b[9]) // may disagree with the counts
	return tr
}

func checkDocument(t *testing.T, d Document) {
	t.Helper()
	if s := d.HealthScore.Score; !(s >= 0 && s <= 100) {
		t.Fatalf("score %v", s)
	}
	for _, c := range []*float64{d.HealthScore.Components.Latency, d.HealthScore.Components.Errors, d.HealthScore.Components.Anomalies} {
		if c != nil && !(*c >= 0 && *c <= 100) {
			t.Fatalf("component %v", *c)
		}
	}
	for _, v := range []*float64{d.Metrics.AnomalyScore, d.Metrics.ZScore, d.Metrics.ErrorRate, d.Metrics.RequestsPerSecond} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
			t.Fatalf("metrics %+v", d.Metrics)
		}
	}
	if r := d.Metrics.ErrorRate; r != nil && !(*r >= 0 && *r <= 1) {
		t.Fatalf("error rate %v", *r)
	}
	for _, a := range d.Alerts {
		if a.Message == "" || a.ReasonForTrigger == "" || (a.Severity != Warning && a.Severity != Critical) || a.TriggeredBy == "" || a.TrendDirection == "" {
			t.Fatalf("alert %+v", a)
		}
		if a.Severity == Critical && d.Status != Critical {
			t.Fatalf("a critical alert under status %s", d.Status)
		}
	}
	if (d.HealthScore.Status == ScoreCritical) && d.Status != Critical {
		t.Fatalf("score %v under status %s", d.HealthScore.Score, d.Status)
	}
	// Encoding fails on NaN and infinities wherever they are.
	encoded, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkJudge is one tick of a service with all its 200 routes in use
// and a full baseline.
func BenchmarkJudge(b *testing.B) {
	tr := newTraffic(time.Minute)
	for i := range 200 {
		for d := time.Millisecond; d < time.Second; d += 7 * time.Millisecond {
			tr.requests("GET /route/"+string(rune('a'+i)), 1, d, histogram.Success)
		}
	}
	p, s := DefaultParams(), State{}
	for i := range p.MaxBaselineTicks {
		s.BaselineMS = append(s.BaselineMS, 100+float64(i%7))
	}
	for b.Loop() {
		_, v := Judge(s, Measure(start, tr.Snapshot, tr.Snapshot), p)
		NewDocument(v, About{Time: start, Routes: RoutesOf(tr.Snapshot)})
	}
}
