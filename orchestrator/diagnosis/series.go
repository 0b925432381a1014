package diagnosis

import (
	"math"
	"slices"
	"time"
)

// course is how the figures went in the ticks before a decision.
type course struct {
	ticks []Moment
	// usual are the P95 and the requests in flight that ticks had before.
	usualP95  float64
	usualRate float64 // requests a tick
	// bad says whether a tick is bad in the way that the newest bad one is.
	bad func(Moment) bool
	// onset is the first tick of the last run of bad ones.
	onset int
}

// failing says whether a part of a tick's requests fails, slow whether they take far
// longer than is usual.
func (c *course) failing(t Moment) bool {
	return t.Requests >= 5 && float64(t.Errors) >= 0.05*float64(t.Requests) && t.Errors >= 2
}

func (c *course) slow(t Moment) bool {
	return t.Samples >= 5 && c.usualP95 > 0 && t.P95MS >= max(2*c.usualP95, c.usualP95+50)
}

// kind is in which way the newest bad tick is bad. What was bad before in another way, or
// by far less than the newest two, belongs to something else: requests that fail now have
// not come and gone because some were slow before, nor has a delay of seconds because of
// one of a moment.
func (c *course) kind() func(Moment) bool {
	worst, found := 0.0, 0
	for i := len(c.ticks) - 1; i >= 0 && found < 2; i-- {
		if found == 0 && c.failing(c.ticks[i]) {
			return c.failing
		}
		if c.slow(c.ticks[i]) {
			worst, found = max(worst, c.ticks[i].P95MS), found+1
		}
	}
	return func(t Moment) bool { return c.slow(t) && t.P95MS >= worst/4 }
}

// belongs says whether a tick is bad, or the one in whose midst it became so.
func (c *course) belongs(i int) bool {
	return c.bad(c.ticks[i]) || i+1 < len(c.ticks) && c.bad(c.ticks[i+1]) && c.slow(c.ticks[i])
}

// courseOf needs at least four ticks.
func courseOf(ticks []Moment, usualP95 float64) *course {
	if len(ticks) < 4 {
		return nil
	}
	c := &course{ticks: ticks, usualP95: usualP95, onset: len(ticks)}
	c.bad = c.kind()
	for i := len(ticks) - 1; i >= 0; i-- {
		if !c.belongs(i) {
			// One tick that was well does not end a run: pauses come and go.
			if i == 0 || !c.bad(ticks[i-1]) {
				break
			}
			continue
		}
		c.onset = i
	}
	var rates []float64
	for _, t := range ticks[:min(c.onset, len(ticks))] {
		rates = append(rates, float64(t.Requests))
	}
	c.usualRate = median(rates)
	return c
}

// age is since when it has been bad, in seconds; false when it is not, or was
// all along.
func (c *course) age() (float64, bool) {
	if c.onset >= len(c.ticks) || c.onset == 0 {
		return 0, false
	}
	last := c.ticks[len(c.ticks)-1]
	return float64(last.UnixMilli-c.ticks[c.onset-1].UnixMilli) / 1000, true
}

// run is how many ticks it has been bad.
func (c *course) run() int {
	if c == nil {
		return 0
	}
	return len(c.ticks) - c.onset
}

// inARow is how many of the last ticks were bad in the same way, without one in
// between that was well.
func (c *course) inARow() int {
	if c == nil {
		return 0
	}
	n := 0
	for n < len(c.ticks) && c.belongs(len(c.ticks)-1-n) {
		n++
	}
	return n
}

// filled is how much of the latest time the incident fills for certain. The first
// bad tick was perhaps well at its beginning; what comes and goes needs both to be
// seen.
func (c *course) filled() time.Duration {
	row := c.inARow()
	switch {
	case row < 3 && c != nil && c.pulses() > 1:
		return 30 * time.Second
	case row == 0:
		return 15 * time.Second
	case row == 1:
		return 2 * time.Second
	default:
		return time.Duration(min(row-1, 3)) * 5 * time.Second
	}
}

// climb is by what factor the P95 changed from each of the last ticks to the next:
// of its last two steps the one nearer to 1, and 1 when they are of different
// directions. It needs four bad ticks: the first is often bad only in part. With three
// one step is left, which can show that the P95 stays where it is, not that it moves.
func (c *course) climb() (float64, bool) {
	if c.run() < 3 {
		return 0, false
	}
	t := c.ticks[len(c.ticks)-3:]
	if c.run() == 3 {
		step := t[2].P95MS / t[1].P95MS
		return step, c.inARow() == 3 && stays(step)
	}
	if t[0].P95MS <= 0 || t[1].P95MS <= 0 {
		return 0, false
	}
	first, second := t[1].P95MS/t[0].P95MS, t[2].P95MS/t[1].P95MS
	switch {
	case first >= 1 && second >= 1:
		return min(first, second), true
	case first <= 1 && second <= 1:
		return max(first, second), true
	}
	return 1, true
}

// stays says whether a factor between two ticks is no change.
func stays(factor float64) bool { return factor > 0.93 && factor < 1.06 }

// pulses counts how often it was bad, in the way that it is now, and then well again.
func (c *course) pulses() int {
	n, was := 0, false
	for _, t := range c.ticks {
		if t.Samples < 5 {
			continue
		}
		is := c.bad(t)
		if was && !is {
			n++
		}
		was = is
	}
	return n
}

// queueGrowth is the slope of the requests in flight, a second, over the last ticks
// of a run of at least five. What is in flight rises at first whenever requests get
// slower; only what goes on rising is a queue.
func (c *course) queueGrowth() (float64, bool) {
	if c.run() < 5 {
		return 0, false
	}
	since := c.ticks[max(c.onset+2, len(c.ticks)-6):]
	var x, y []float64
	for _, t := range since {
		x = append(x, float64(t.UnixMilli-since[0].UnixMilli)/1000)
		y = append(y, float64(t.InFlight))
	}
	slope, _ := line(x, y)
	return slope, true
}

// waitGrowth is by how many seconds the longest wait grew in each second of the last
// two steps. A delay that everybody has shows
// as one step and then none, and what never ends as one second in a second: only a
// queue that is served too slowly grows in both steps, and by less than the time that
// passes. It tells a queue from a delay within three bad ticks.
func (c *course) waitGrowth() (float64, bool) {
	if c.inARow() < 3 {
		return 0, false
	}
	t := c.ticks[len(c.ticks)-3:]
	var sum float64
	for i, next := range t[1:] {
		passed := float64(next.UnixMilli - t[i].UnixMilli)
		if passed <= 0 {
			return 0, false
		}
		grew := (next.MaxMS - t[i].MaxMS) / passed
		// The longest of many may be longer by chance: nearly the longest must be as well.
		if grew < 0.1 || grew > 0.9 || (next.P95MS-t[i].P95MS)/passed < grew/3 {
			return 0, false
		}
		sum += grew
	}
	return sum / 2, true
}

// inFlightStep is by what factor the requests in flight changed in the newest tick,
// when it has been bad for three. What a delay of a few seconds holds is complete by
// then; a queue goes on growing.
func (c *course) inFlightStep() (float64, bool) {
	if c.inARow() < 3 {
		return 0, false
	}
	before, now := c.ticks[len(c.ticks)-2].InFlight, c.ticks[len(c.ticks)-1].InFlight
	return float64(now) / float64(before), before >= 5
}

// growth is by what factor the P95 has grown since the third bad tick, the first that is
// bad as a whole for certain. It needs a run of five. What is delayed by something else is
// so at once; a queue fills.
func (c *course) growth() (float64, bool) {
	if c.run() < 5 {
		return 0, false
	}
	n := len(c.ticks)
	third := c.ticks[c.onset+2].P95MS
	return (c.ticks[n-2].P95MS + c.ticks[n-1].P95MS) / 2 / third, third > 0
}

// relief is how far the last ticks are below the worst: 0.4 is 40 % below. It
// needs a worst that is some ticks ago, and that it did not come back to.
func (c *course) relief() (float64, bool) {
	n := len(c.ticks)
	if n < 5 {
		return 0, false
	}
	var worst float64
	at := -1
	for i, t := range c.ticks[max(0, n-24):] {
		if t.Samples >= 5 && t.P95MS > worst {
			worst, at = t.P95MS, max(0, n-24)+i
		}
	}
	if at < 0 || at > n-4 {
		return 0, false
	}
	last := c.ticks[n-3:]
	return 1 - max(last[0].P95MS, last[1].P95MS, last[2].P95MS)/worst, true
}

// ramp says by what factor a series rose, when it rose steadily all the time: by
// the rank correlation with time. The last value is what it has come to.
func ramp(series []float64) (factor float64, steady bool) {
	if len(series) < 6 {
		return 0, false
	}
	third := len(series) / 3
	first, middle, last := median(series[:third]), median(series[third:2*third]), median(series[len(series)-third:])
	if first <= 0 {
		return 0, false
	}
	if middle <= first*1.12 || last <= middle*1.12 {
		return last / first, false
	}
	// A step is no ramp: no single rise may be most of it, and the usual one must be a
	// part of it that shows.
	var rises []float64
	for i := 1; i < len(series); i++ {
		if series[i-1] > 0 {
			rises = append(rises, math.Log(series[i]/series[i-1]))
		}
	}
	whole := math.Log(series[len(series)-1] / first)
	even := slices.Max(rises) <= 0.65*whole && median(rises) >= 0.25*whole/float64(len(rises))
	return last / first, rankCorrelation(series) >= 0.8 && even
}

// rankCorrelation is Spearman's, of a series with its order: 1 when each value is
// above the one before.
func rankCorrelation(series []float64) float64 {
	n := len(series)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case series[a] < series[b]:
			return -1
		case series[a] > series[b]:
			return 1
		}
		return 0
	})
	var squares float64
	for rank, i := range order {
		d := float64(rank - i)
		squares += d * d
	}
	m := float64(n)
	return 1 - 6*squares/(m*(m*m-1))
}

// line is the least-squares line through points.
func line(x, y []float64) (slope, intercept float64) {
	n := float64(len(x))
	if n < 2 {
		return 0, 0
	}
	var sx, sy, sxx, sxy float64
	for i := range x {
		sx, sy, sxx, sxy = sx+x[i], sy+y[i], sxx+x[i]*x[i], sxy+x[i]*y[i]
	}
	d := n*sxx - sx*sx
	if math.Abs(d) < 1e-9 {
		return 0, sy / n
	}
	slope = (n*sxy - sx*sy) / d
	return slope, (sy - slope*sx) / n
}
