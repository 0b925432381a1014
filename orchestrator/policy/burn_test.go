package policy

import (
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// minutesOf is n minutes up to start, each of 1000 requests, of which the last
// bad ones have that many errors.
func minutesOf(n, bad int, errors uint64) []Minute {
	var out []Minute
	for i := range n {
		m := Minute{Unix: start.Unix() - int64(n-1-i)*60, Requests: 1000}
		if i >= n-bad {
			m.Errors = errors
		}
		out = append(out, m)
	}
	return out
}

func TestBurnRates(t *testing.T) {
	for _, c := range []struct {
		name    string
		minutes []Minute
		fires   string // part of the reason; "" when it must not
	}{
		{"nothing at all", nil, ""},
		{"no errors", minutesOf(360, 0, 0), ""},
		// 14.4 times 0.1 % is 14.4 of 1000.
		{"an hour at the factor", minutesOf(60, 60, 15), "at or above 14.4"},
		{"an hour below it", minutesOf(60, 60, 14), ""},
		{"six hours at six times", minutesOf(360, 360, 6), "at or above 6"},
		{"six hours below it", minutesOf(360, 360, 5), ""},
		{"both: the faster one is named", minutesOf(360, 360, 20), "at or above 14.4"},
		{"long ago, and now quiet", append(minutesOf(60, 60, 100)[:50], minutesOf(10, 0, 0)...), ""},
		{"a short burst", minutesOf(60, 3, 100), ""},
		{"a burst that spends the hour's budget", minutesOf(60, 5, 200), "burn rate 16.7 over 60 min and 200 over 5 min"},
		{"five minutes of history", minutesOf(5, 5, 1000), ""},
		{"53 minutes of an hour", minutesOf(53, 53, 1000), ""},
		{"54 minutes of an hour", minutesOf(54, 54, 1000), "at or above 14.4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := burning(c.minutes, Default())
			if (len(found) > 0) != (c.fires != "") {
				t.Fatalf("found %+v", found)
			}
			if len(found) > 0 && !strings.Contains(found[0].alert.ReasonForTrigger, c.fires) {
				t.Errorf("reason %q, want %q", found[0].alert.ReasonForTrigger, c.fires)
			}
		})
	}
	t.Run("few requests", func(t *testing.T) {
		var quiet []Minute
		for i := range 60 {
			quiet = append(quiet, Minute{Unix: start.Unix() + int64(i)*60, Requests: 2, Errors: 1})
		}
		if found := burning(quiet, Default()); len(found) != 0 {
			t.Errorf("five failed requests in five minutes fired: %+v", found)
		}
		for i := range quiet {
			quiet[i].Errors = 2
		}
		if found := burning(quiet, Default()); len(found) != 1 {
			t.Errorf("ten failed requests in five minutes did not fire: %+v", found)
		}
	})
}

func TestBurnRateOpensOnlyWhenOnAndCritical(t *testing.T) {
	for _, c := range []struct {
		mode               health.Mode
		severity           health.Status
		breached           bool
		breaches, shadowed string
	}{
		{health.Shadow, health.Critical, false, "", "burn_rate"},
		{health.Off, health.Critical, false, "", ""},
		{health.On, health.Warning, false, "burn_rate", ""},
		{health.On, health.Critical, true, "burn_rate", ""},
	} {
		s := newSeries(t)
		s.p.Burn.Mode, s.p.Burn.Windows[0].Severity = c.mode, c.severity
		s.state = State{At: start, Burn: minutesOf(60, 60, 19)}
		s.now = start
		d := s.see(measured(1000, 19, 50))
		if d.Breached != c.breached || keys(d.Breaches) != c.breaches || keys(d.Shadowed) != c.shadowed {
			t.Errorf("%s and %s: breached %v, breaches %q, shadowed %q", c.mode, c.severity, d.Breached, keys(d.Breaches), keys(d.Shadowed))
		}
		if d := s.times(3, fine); d.Recovered == (c.mode == health.On) {
			t.Errorf("%s and %s: recovered %v while the budget burns: %s", c.mode, c.severity, d.Recovered, d.Why)
		}
	}
}

func TestMinutesAreBoundedWhateverTheClockDoes(t *testing.T) {
	tick := health.Tick{Requests: 10, Errors: 1}
	var minutes []Minute
	now := start
	see := func(d time.Duration) {
		now = now.Add(d)
		minutes = remember(minutes, now, tick)
		for i, m := range minutes {
			if m.Unix%60 != 0 || i > 0 && m.Unix <= minutes[i-1].Unix {
				t.Fatalf("minutes out of order: %v", minutes)
			}
		}
		if len(minutes) > maxBurnMinutes {
			t.Fatalf("%d minutes", len(minutes))
		}
	}
	for range 10_000 {
		see(tickSpan)
	}
	if len(minutes) != maxBurnMinutes || minutes[100].Requests != 120 {
		t.Errorf("%d minutes of %d requests, want 360 of 120", len(minutes), minutes[100].Requests)
	}
	before := len(minutes)
	see(-30 * time.Second) // a small step counts in the minute that is there
	if len(minutes) != before {
		t.Errorf("%d minutes after a step back of 30 s, were %d", len(minutes), before)
	}
	see(-time.Hour)
	if last := minutes[len(minutes)-1].Unix; last > now.Unix() {
		t.Errorf("a minute is in the future")
	}
	see(24 * time.Hour)
	if len(minutes) != 1 {
		t.Errorf("%d minutes after a day, want 1", len(minutes))
	}
	now = time.Unix(-1000, 0)
	see(0)
}
