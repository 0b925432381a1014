package policy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// FuzzParse: whatever is accepted is sound, and survives being shown and
// being recorded.
func FuzzParse(f *testing.F) {
	f.Add(Default().YAML())
	f.Add(busy().YAML())
	f.Add([]byte("health: {p95_ms: {warning: 1e3}}\nchecks: [{name: a, url: 'http://a/'}]"))
	f.Add([]byte("burn_rate: {windows: [{factor: 2, long_minutes: 3, short_minutes: 1, severity: warning}]}"))
	f.Add([]byte("a: &a [*a]\nversion: !!binary aGk="))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("fuzz.yaml", data)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("accepted, and not sound: %v", err)
		}
		shown, err := Parse("shown.yaml", p.YAML())
		if err != nil || shown.Digest() != p.Digest() {
			t.Fatalf("shown, it reads back as another policy (%v):\n%s", err, p.YAML())
		}
		recorded, err := ParseCanonical(p.Canonical())
		if err != nil || !bytes.Equal(recorded.Canonical(), p.Canonical()) {
			t.Fatalf("recorded, it reads back as another policy (%v):\n%s", err, p.Canonical())
		}
	})
}

// FuzzDecide plays any sequence of inputs, with any clock, and checks what
// must hold of every decision.
func FuzzDecide(f *testing.F) {
	f.Add([]byte{}, uint8(0))
	f.Add(bytes.Repeat([]byte{0, 100, 0, 50, 0, 0, 0, 0, 1, 0, 0, 0}, 30), uint8(1))
	f.Add(bytes.Repeat([]byte("0123456789ab"), 30), uint8(7))
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		data := make([]byte, 12*64)
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		f.Add(data, uint8(seed*63))
	}
	f.Fuzz(func(t *testing.T, data []byte, options uint8) {
		s := newSeries(t)
		s.p.Health.MinBaselineTicks, s.p.Health.MaxBaselineTicks = 2, 50
		modes := []health.Mode{health.On, health.Shadow, health.Off}
		s.p.Burn.Mode, s.p.Failures.Mode, s.p.Health.Gates.ZScore = modes[options%3], modes[options/3%3], modes[options/9%3]
		for i := 0; i < 200 && len(data) >= 12; i++ {
			in := s.fuzzInput(data[:12])
			next, d := Decide(s.state, in, s.p)
			checkDecision(t, s.state, in, s.p, next, d)
			if i%32 == 31 || len(data) < 24 {
				checkAgain(t, s.state, in, s.p, next, d)
			}
			s.state = next
			data = data[12:]
		}
	})
}

// fuzzInput makes a tick of twelve bytes.
func (s *series) fuzzInput(b []byte) Input {
	switch b[0] % 16 {
	case 0:
		s.now = s.now.Add(-time.Duration(b[8]) * time.Hour)
	case 1:
		s.now = s.now.Add(time.Duration(b[8]) * time.Hour)
	case 2:
		s.now = s.now.Add(time.Duration(b[8]) * time.Second)
	default:
		s.now = s.now.Add(tickSpan)
	}
	n, p95 := int(b[1]), float64(b[3])*math.Pow(10, float64(b[4]%6)-1)
	m := measured(n, int(b[2]), p95)
	m.Tick.Waiting, m.Window.InFlight, m.Window.InFlightIncluded = int(int8(b[5])), int(b[5]), int(int8(b[5]))
	m.Tick.Requests = uint64(b[7])
	m.UnixMilli, m.Tick.UnixMilli = s.now.UnixMilli(), s.now.UnixMilli()
	if b[6]%4 == 0 {
		m.Window.Samples, m.Window.P95MS = binary.LittleEndian.Uint64(b[4:]), nil
	}
	in := Input{Time: s.now, Measurement: m}
	for i := range int(b[9] % 4) {
		target := UpstreamTarget
		if b[10]%3 == 0 {
			target = fmt.Sprint("target-", b[10]+uint8(i))
		}
		in.Checks = append(in.Checks, CheckResult{Target: target, Time: s.now, OK: b[11]>>i&1 == 0, Reason: "refused"})
	}
	if b[6]%8 == 1 {
		in.Reported = &Reported{Status: []health.Status{health.OK, health.Warning, health.Critical}[b[11]%3], Score: float64(int8(b[10])) * 1.5}
	}
	return in
}

// BenchmarkDecide is one tick with a full baseline and six hours of minutes.
func BenchmarkDecide(b *testing.B) {
	p, s := Default(), State{At: start, Burn: minutesOf(maxBurnMinutes, 10, 1)}
	for i := range p.Health.MaxBaselineTicks {
		s.Health.BaselineMS = append(s.Health.BaselineMS, 100+float64(i%7))
	}
	in := Input{Time: start.Add(tickSpan), Measurement: fine}
	b.ReportAllocs()
	for b.Loop() {
		Decide(s, in, p)
	}
}
