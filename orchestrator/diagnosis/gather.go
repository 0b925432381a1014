package diagnosis

import (
	"slices"
	"strconv"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// Gather makes evidence of what an incident records. It is pure: the same
// material gives the same facts under the same ids.
func Gather(m Material) Evidence {
	g := newGathering(&m)
	g.latency()
	g.errors()
	g.failures()
	g.load()
	g.connections()
	g.routes()
	g.trend()
	g.targets()
	g.gates()
	g.changes()
	g.e.Signature = signatureOf(g.e)
	g.earlier()
	return *g.e
}

// gathering is the evidence in the making.
type gathering struct {
	e *Evidence
	m *Material
	s Signals // empty when there are none
	// now and before are the latencies of now and of times of well-being; nil
	// when they are not known.
	now, before *histogram.Counts
	// usualP95 is that of a usual tick, 0 when there is none.
	usualP95 float64
	course   *course
}

func newGathering(m *Material) *gathering {
	g := &gathering{m: m, e: &Evidence{
		V: Version, Service: Inert(m.Service, maxSubject), IncidentID: Inert(m.IncidentID, maxSubject), At: m.Input.Time.UTC(),
		Recent: round(m.Input.Measurement.Window.SpanSeconds), Facts: []Fact{},
	}}
	for _, a := range m.Actions[:min(len(m.Actions), 32)] {
		g.e.Actions = append(g.e.Actions, Inert(a, maxSubject))
	}
	if m.Signals != nil {
		g.s = *m.Signals
	}
	g.now, g.before = m.Window, g.s.Usual.counts()
	if c := g.s.Recent.counts(); c != nil && c.Total() >= 10 {
		g.now, g.e.Recent = c, round(g.s.Recent.Seconds)
	}
	if b := m.Before.Health.BaselineMS; len(b) >= 3 {
		g.usualP95 = median(b)
	} else if g.before != nil {
		g.usualP95 = at(g.before, 0.95)
	}
	g.course = courseOf(g.s.Ticks, g.usualP95)
	return g
}

// latency tells how long requests take, and how that is spread.
func (g *gathering) latency() {
	w := g.m.Input.Measurement.Window
	if w.P95MS != nil {
		g.e.add(Fact{Name: WindowP95, Value: *w.P95MS, Unit: Millis, Usual: positive(g.usualP95)})
	}
	if g.now == nil || g.now.Total() < 10 {
		return
	}
	for _, q := range []struct {
		name Name
		q    float64
	}{{LatencyP50, 0.5}, {LatencyP95, 0.95}, {LatencyMax, 1}, {LatencyFloor, 0.05}} {
		f := Fact{Name: q.name, Value: at(g.now, q.q), Unit: Millis}
		if g.before != nil {
			f.Usual = ptr(at(g.before, q.q))
		} else if q.name == LatencyP95 {
			f.Usual = positive(g.usualP95)
		}
		g.e.add(f)
	}
	g.e.add(Fact{Name: Modes, Value: float64(modes(g.now)), Unit: Count})
	if g.usualP95 == 0 && g.before == nil {
		return
	}
	p95, p99 := g.usualP95, g.usualP95
	if g.before != nil {
		p95, p99 = at(g.before, 0.95), at(g.before, 0.99)
	}
	slow := slowest(g.now, slowLimit(p95, p99))
	g.e.add(Fact{Name: SlowShare, Value: float64(slow.Total()) / float64(g.now.Total()), Unit: Share})
	if slow.Total() >= 10 {
		g.e.add(Fact{Name: SlowSpread, Value: spread(slow), Unit: Ratio})
	}
}

// errors tells how many requests fail.
func (g *gathering) errors() {
	w := g.m.Input.Measurement.Window
	requests, failed := w.Requests, w.Errors()
	if r := g.s.Recent; r != nil && r.Requests >= 5 {
		requests, failed = r.Requests, r.Errors
	}
	if requests > 0 {
		f := Fact{Name: ErrorRate, Value: float64(failed) / float64(requests), Unit: Share}
		if u := g.s.Usual; u != nil && u.Requests > 0 {
			f.Usual = ptr(float64(u.Errors) / float64(u.Requests))
		}
		g.e.add(f)
	}
	for _, n := range []struct {
		name  Name
		count uint64
	}{{GatewayErrors, w.GatewayErrors}, {ServerErrors, w.ServerErrors}, {ClientErrors, w.ClientErrors}, {ClientGone, w.Unmeasured[histogram.ClientGone.String()]}} {
		if n.count > 0 {
			g.e.add(Fact{Name: n.name, Value: float64(n.count), Unit: Count, Part: g.partOf(n.count)})
		}
	}
}

// partOf is the share of the window's requests, nil when there were none.
func (g *gathering) partOf(n uint64) *float64 {
	seen := max(g.m.Input.Measurement.Window.Seen, g.m.Input.Measurement.Window.Requests)
	if seen == 0 {
		return nil
	}
	return ptr(min(1, float64(n)/float64(seen)))
}

// failures tells why the upstream could not be used, and what it answered.
func (g *gathering) failures() {
	type tally struct {
		what string
		n    uint64
	}
	top := func(name Name, all []tally, limit int) {
		slices.SortFunc(all, func(a, b tally) int {
			if a.n != b.n {
				return int(b.n) - int(a.n)
			}
			return len(a.what) - len(b.what)
		})
		for _, t := range all[:min(len(all), limit)] {
			g.e.add(Fact{Name: name, Subject: t.what, Value: float64(t.n), Unit: Count, Part: g.partOf(t.n)})
		}
	}
	var why, statuses []tally
	for _, name := range sortedKeys(g.s.Failures) {
		if failureKind(name) != noFailure {
			why = append(why, tally{name, g.s.Failures[name]})
		}
	}
	for _, code := range sortedKeys(g.s.Statuses) {
		statuses = append(statuses, tally{strconv.Itoa(code), g.s.Statuses[code]})
	}
	top(Failure, why, 8)
	top(StatusCode, statuses, 8)
}

// load tells how much is asked and answered, beside what is usual.
func (g *gathering) load() {
	usualRate, usualGood := g.usualLoad()
	w := g.m.Input.Measurement.Window
	if g.s.Recent != nil && g.course != nil {
		n := len(g.course.ticks)
		from := max(1, n-min(max(g.course.run()-1, 1), 3))
		var seen, good float64
		for _, t := range g.course.ticks[from:] {
			seen += float64(max(t.Seen, t.Requests))
			good += float64(t.Requests - min(t.Errors, t.Requests))
		}
		seconds := float64(g.course.ticks[n-1].UnixMilli-g.course.ticks[from-1].UnixMilli) / 1000
		waiting := float64(g.course.ticks[n-1].InFlight - g.course.ticks[from-1].InFlight)
		if seconds > 0 {
			g.e.add(Fact{Name: Offered, Value: max(0, seen+waiting) / seconds, Unit: PerSecond, Usual: positive(usualRate)})
			g.e.add(Fact{Name: Served, Value: good / seconds, Unit: PerSecond, Usual: positive(usualGood)})
		}
	} else if w.SpanSeconds > 0 {
		seen := float64(max(w.Seen, w.Requests)) + float64(w.InFlightIncluded)
		g.e.add(Fact{Name: Offered, Value: seen / w.SpanSeconds, Unit: PerSecond, Usual: positive(usualRate)})
		g.e.add(Fact{Name: Served, Value: float64(w.Requests-min(w.Errors(), w.Requests)) / w.SpanSeconds, Unit: PerSecond, Usual: positive(usualGood)})
	}
	f := Fact{Name: InFlight, Value: float64(w.InFlight), Unit: Count}
	if g.course != nil && g.course.onset > 3 {
		var usual []float64
		for _, t := range g.course.ticks[:g.course.onset-1] {
			usual = append(usual, float64(t.InFlight))
		}
		f.Usual = ptr(median(usual))
	}
	g.e.add(f)
}

// usualLoad is the median minute of those before the last two, in requests a
// second; 0 when there are fewer than two.
func (g *gathering) usualLoad() (offered, served float64) {
	var rates, good []float64
	if burn := g.m.Before.Burn; len(burn) >= 4 {
		for _, m := range burn[1 : len(burn)-2] { // the first is cut
			rates = append(rates, float64(m.Requests)/60)
			good = append(good, float64(m.Requests-min(m.Errors, m.Requests))/60)
		}
	}
	if len(rates) == 0 && g.course != nil && g.course.onset > 4 {
		for i, t := range g.course.ticks[1 : g.course.onset-1] {
			seconds := float64(t.UnixMilli-g.course.ticks[i].UnixMilli) / 1000
			if seconds > 0 {
				rates = append(rates, float64(max(t.Seen, t.Requests))/seconds)
				good = append(good, float64(t.Requests-min(t.Errors, t.Requests))/seconds)
			}
		}
	}
	return median(rates), median(good)
}

// connections tells how connections to the upstream come about.
func (g *gathering) connections() {
	if g.s.Connects == 0 || g.s.Span <= 0 {
		return
	}
	g.e.add(Fact{Name: Connects, Value: float64(g.s.Connects) / g.s.Span, Unit: PerSecond})
	if g.s.ConnectMS != nil {
		g.e.add(Fact{Name: ConnectTime, Value: *g.s.ConnectMS, Unit: Millis, Usual: g.s.UsualConnectMS})
	}
}

// trend tells how it came to this.
func (g *gathering) trend() {
	if since := g.m.Before.Since; !since.IsZero() {
		g.e.add(Fact{Name: Uptime, Value: max(0, g.m.begin().Sub(since).Seconds()), Unit: Seconds})
	}
	if c := g.course; c != nil {
		if age, ok := c.age(); ok {
			g.e.add(Fact{Name: OnsetAge, Value: age, Unit: Seconds})
		}
		if n := c.pulses(); n > 0 {
			g.e.add(Fact{Name: Pulses, Value: float64(n), Unit: Count})
		}
		if v, ok := c.climb(); ok {
			g.e.add(Fact{Name: Climb, Value: v, Unit: Ratio})
		}
		if v, ok := c.queueGrowth(); ok {
			g.e.add(Fact{Name: QueueGrowth, Value: v, Unit: PerSecond})
		}
		if v, ok := c.waitGrowth(); ok {
			g.e.add(Fact{Name: WaitGrowth, Value: v, Unit: Share})
		}
		if v, ok := c.inFlightStep(); ok {
			g.e.add(Fact{Name: InFlightStep, Value: v, Unit: Ratio})
		}
		if v, ok := c.growth(); ok {
			g.e.add(Fact{Name: Growth, Value: v, Unit: Ratio})
		}
		if v, ok := c.relief(); ok {
			g.e.add(Fact{Name: Relief, Value: v, Unit: Share})
		}
	}
	if factor, seconds, ok := g.ramp(); ok {
		g.e.add(Fact{Name: Ramp, Value: factor, Unit: Ratio, Text: "over " + brief(seconds)})
	}
}

// ramp looks for a steady rise: in the minutes before, the last few of them by
// halves, where they are known; else in the baseline, of which a rise that is slow
// enough becomes a part.
func (g *gathering) ramp() (factor, seconds float64, ok bool) {
	var p95, ages []float64
	add := func(m Moment) {
		if m.Samples >= 20 {
			p95 = append(p95, m.P95MS)
			ages = append(ages, g.m.begin().Sub(time.UnixMilli(m.UnixMilli)).Seconds())
		}
	}
	const half = 6 // ticks
	for _, m := range g.s.Minutes {
		if len(g.s.Ticks) == 0 || m.UnixMilli+60_000 <= g.s.Ticks[0].UnixMilli {
			add(m)
		}
	}
	for i := len(g.s.Ticks) % half; i+half <= len(g.s.Ticks); i += half {
		add(mean(g.s.Ticks[i : i+half]))
	}
	for from := 0; len(p95)-from >= 6; from++ {
		if factor, steady := ramp(p95[from:]); steady && factor >= 1.5 {
			return factor, ages[from], true
		}
	}
	const tick = 5
	base := g.m.Before.Health.BaselineMS
	if base = base[max(0, len(base)-240):]; len(base) < 48 || len(p95) >= 6 {
		return 0, 0, false
	}
	var coarse []float64
	for i := 0; i+half <= len(base); i += half {
		coarse = append(coarse, median(base[i:i+half]))
	}
	if factor, steady := ramp(coarse); steady && factor >= 1.5 {
		return factor, float64(len(base) * tick), true
	}
	return 0, 0, false
}

func positive(v float64) *float64 {
	if v <= 0 {
		return nil
	}
	return &v
}
