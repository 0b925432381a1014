package policy

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// aTick is five seconds of traffic.
type aTick struct {
	ended, errors, inFlight int
	ms                      float64 // of every request
}

var usualTick = aTick{ended: 200, ms: 40} // 40 requests a second

// loaded decides on ticks, five seconds apart.
type loaded struct {
	p     *Policy
	state State
	at    time.Time
	last  Decision
}

func newLoaded() *loaded {
	return &loaded{p: Default(), at: time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)}
}

func (l *loaded) see(n int, t aTick) *Load {
	for range n {
		l.at = l.at.Add(5 * time.Second)
		ended, ms := uint64(t.ended), t.ms
		m := health.Measurement{UnixMilli: l.at.UnixMilli(), Window: health.WindowFigures{
			SpanSeconds: 60, P50MS: &ms, P95MS: &ms, Samples: ended * 12, Requests: ended * 12, ServerErrors: uint64(t.errors) * 12, Seen: ended * 12, InFlight: t.inFlight,
		}, Tick: health.Tick{
			UnixMilli: l.at.UnixMilli(), Samples: ended, P10MS: ms, P25MS: ms, P50MS: ms, P95MS: ms, MaxMS: ms,
			Requests: ended, Ended: ended, Errors: uint64(t.errors),
		}}
		l.state, l.last = Decide(l.state, Input{Time: l.at, Measurement: m}, l.p)
	}
	return l.last.Load
}

func TestLoad(t *testing.T) {
	for name, c := range map[string]struct {
		then aTick
		want Load
	}{
		"as usual":             {usualTick, Load{40, 40, 40}},
		"more, all served":     {aTick{ended: 400, ms: 40}, Load{80, 80, 40}},
		"a storm of errors":    {aTick{ended: 300, errors: 200, ms: 40}, Load{60, 20, 40}},
		"a storm, all late":    {aTick{ended: 300, ms: 3500}, Load{60, 6, 40}},
		"errors without storm": {aTick{ended: 200, errors: 150, ms: 40}, Load{40, 10, 40}},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLoaded()
			if got := l.see(20, usualTick); got != nil {
				t.Errorf("after 20 ticks, the first of which had none before it: %+v", got)
			}
			l.see(1, usualTick)
			got := l.see(3, c.then)
			if c.then.errors == 0 && c.then.ms < 1000 {
				c.want.Usual = got.Usual // it learns what is more than usual and healthy
			}
			if got == nil || *got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// TestLoadOfWhatHangs: what arrives and is not answered is offered all the same.
func TestLoadOfWhatHangs(t *testing.T) {
	l := newLoaded()
	l.see(25, usualTick)
	for n := 1; n <= 3; n++ {
		l.see(1, aTick{ended: 50, errors: 50, inFlight: 250 * n, ms: 40})
	}
	if got := l.last.Load; got == nil || *got != (Load{60, 0, 40}) {
		t.Errorf("%+v", got)
	}
}

// TestUsualIsLearnedFromHealth: an incident teaches nothing, a pause takes nothing away,
// and little traffic is not judged.
func TestUsualIsLearnedFromHealth(t *testing.T) {
	l := newLoaded()
	l.see(30, usualTick)
	if got := l.see(200, aTick{ended: 1000, errors: 900, ms: 40}); got == nil || got.Usual != 40 || !l.last.Breached {
		t.Errorf("after an incident of many ticks: %+v", got)
	}
	data, err := json.Marshal(l.state)
	var again State
	if err == nil {
		err = json.Unmarshal(data, &again)
	}
	if err != nil || !reflect.DeepEqual(again.Rates, l.state.Rates) {
		t.Errorf("%+v, %v", again.Rates, err)
	}
	l.at = l.at.Add(10 * time.Minute)
	if got := l.see(3, aTick{ended: 1000, errors: 900, ms: 40}); got != nil {
		t.Errorf("across a pause: %+v", got)
	}
	if got := l.see(1, aTick{ended: 1000, errors: 900, ms: 40}); got == nil || got.Usual != 40 {
		t.Errorf("after a pause: %+v", got)
	}
	if got := l.see(3, aTick{ended: 1, errors: 1, ms: 40}); got != nil {
		t.Errorf("of three requests: %+v", got)
	}
	if known := l.state.Rates.Known(); known.Usual != 40 || known.Recent != nil || known.Ticks == 0 {
		t.Errorf("%+v", known)
	}
}
