package policy

import (
	"fmt"
	"math"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

// Minute is one minute's requests, for burn rates.
type Minute struct {
	Unix     int64  `json:"unix"` // of its begin
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
}

// maxBurnMinutes is the longest window: six hours.
const maxBurnMinutes = 360

// clockStep is how far back the clock may go for the tick to be counted in
// the minute that is already there.
const clockStep = 2 * 60

// remember adds a tick to the minutes and forgets those that no window
// reaches. A clock that went back takes with it what has not yet been.
func remember(old []Minute, now time.Time, t health.Tick) []Minute {
	minute := now.Unix() - (now.Unix()%60+60)%60
	minutes := append(make([]Minute, 0, len(old)+1), old...)
	if n := len(minutes); n > 0 && minutes[n-1].Unix > minute && minutes[n-1].Unix-minute <= clockStep {
		minute = minutes[n-1].Unix
	}
	for len(minutes) > 0 && minutes[len(minutes)-1].Unix > minute {
		minutes = minutes[:len(minutes)-1]
	}
	if n := len(minutes); n == 0 || minutes[n-1].Unix < minute {
		minutes = append(minutes, Minute{Unix: minute})
	}
	last := &minutes[len(minutes)-1]
	last.Requests = plus(last.Requests, t.Requests)
	last.Errors = plus(last.Errors, min(t.Errors, t.Requests))
	first := 0
	for minutes[first].Unix <= minute-maxBurnMinutes*60 {
		first++
	}
	return minutes[first:]
}

// plus does not overflow: a foreign document may count anything.
func plus(a, b uint64) uint64 {
	const most = 1 << 53
	return min(a, most) + min(b, most)
}

// spent is the requests and errors of the last n minutes, the present one
// included, and how many of those minutes are on record.
func spent(minutes []Minute, n int) (requests, errors uint64, recorded int) {
	if len(minutes) == 0 {
		return 0, 0, 0
	}
	from := minutes[len(minutes)-1].Unix - int64(n-1)*60
	for i := len(minutes) - 1; i >= 0 && minutes[i].Unix >= from; i-- {
		requests, errors = plus(requests, minutes[i].Requests), plus(errors, minutes[i].Errors)
		recorded++
	}
	return requests, errors, recorded
}

// burning is the breach of the burn_rate gate, of the fastest window that
// burns. A window that is not nine tenths on record says nothing: an hour's
// budget cannot be judged by five minutes.
func burning(minutes []Minute, p *Policy) []finding {
	var worst finding
	var factor float64
	for _, w := range p.Burn.Windows {
		long, _, enough := p.Burn.rate(minutes, w.LongMinutes)
		short, bad, enoughShort := p.Burn.rate(minutes, w.ShortMinutes)
		if !enough || !enoughShort || bad < p.Burn.MinBad || long < w.Factor || short < w.Factor || w.Factor <= factor {
			continue
		}
		factor = w.Factor
		worst.alert = health.Alert{
			Type: health.TypeBurnRate, Severity: w.Severity, TriggeredBy: health.GateBurnRate,
			Message: fmt.Sprintf("The error budget burns %.3g times too fast", short),
			ReasonForTrigger: fmt.Sprintf("burn rate %.3g over %d min and %.3g over %d min, both at or above %g, with %d failed requests (objective %s)",
				long, w.LongMinutes, short, w.ShortMinutes, w.Factor, bad, percent(p.Burn.Objective)),
		}
	}
	if factor == 0 {
		return nil
	}
	return []finding{worst}
}

// rate is how many times faster than the objective allows the last n minutes
// burnt the error budget, to four decimals: no threshold is missed by the
// rounding of 1 − objective.
func (b Burn) rate(minutes []Minute, n int) (rate float64, bad uint64, enough bool) {
	requests, bad, recorded := spent(minutes, n)
	if requests == 0 || recorded*10 < n*9 {
		return 0, bad, false
	}
	return math.Round(float64(bad)/float64(requests)/(1-b.Objective)*1e4) / 1e4, bad, true
}
