package diagnosis

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// How many of a list become facts.
const (
	shownRoutes  = 10
	shownTargets = 5
	shownChecks  = 5
	shownGates   = 8
	shownChanges = 6
	shownEarlier = 5
)

// routeFigures is a route now and before.
type routeFigures struct {
	fact   Fact
	weight float64 // how bad it is
}

// routes tells which of them are bad, and how much of the traffic they are.
func (g *gathering) routes() {
	now, before := g.m.Routes, map[string]health.Route{}
	if g.s.Recent != nil && len(g.s.Recent.Routes) > 0 {
		now = g.s.Recent.Routes
	}
	if g.s.Usual != nil {
		for _, r := range g.s.Usual.Routes {
			before[r.Route] = r
		}
	}
	var samples float64
	for _, r := range now {
		samples += float64(r.SampleSize)
	}
	var all []routeFigures
	for _, r := range now {
		if r.P95MS == nil || r.SampleSize < 5 || samples == 0 {
			continue
		}
		f := Fact{Name: RouteFact, Subject: r.Route, Value: *r.P95MS, Unit: Millis, Part: ptr(float64(r.SampleSize) / samples), Errors: r.ErrorRate}
		usual, known := before[r.Route]
		if known {
			f.Usual, f.UsualErrors = usual.P95MS, usual.ErrorRate
		}
		f.Bad = g.slowRoute(f) || failingRoute(f, r.SampleSize)
		all = append(all, routeFigures{f, 0})
	}
	judged, bad, badPart := len(all), 0, 0.0
	spare(all)
	for i := range all {
		f := &all[i].fact
		if f.Bad {
			bad++
			badPart += *f.Part
		}
		all[i].weight = weightOf(*f)
	}
	if judged == 0 {
		return
	}
	g.e.add(Fact{Name: RoutesBad, Value: float64(bad) / float64(judged), Unit: Share, Part: ptr(badPart)})
	slices.SortStableFunc(all, func(a, b routeFigures) int { return cmp.Compare(b.weight, a.weight) })
	for _, r := range all[:min(len(all), shownRoutes)] {
		g.e.add(r.fact)
	}
}

// spare takes routes out of the bad ones that are slower by far less than the worst, a
// tenth, and do not fail: on a busy machine all are slower than usual by a little while
// one is by a lot.
func spare(all []routeFigures) {
	beyond := func(f *Fact) float64 {
		if f.Usual == nil {
			return f.Value
		}
		return f.Value - *f.Usual
	}
	worst := 0.0
	for i := range all {
		if all[i].fact.Bad {
			worst = max(worst, beyond(&all[i].fact))
		}
	}
	for i := range all {
		if f := &all[i].fact; f.Bad && !fails(f) && beyond(f) < worst/10 {
			f.Bad = false
		}
	}
}

// slowRoute says whether a route is slower than it usually is or, where that is
// not known, than the whole service usually is.
func (g *gathering) slowRoute(f Fact) bool {
	if f.Usual != nil {
		return f.Value >= max(2**f.Usual, *f.Usual+50)
	}
	return g.usualP95 > 0 && f.Value >= max(3*g.usualP95, g.usualP95+100)
}

// failingRoute leaves out what is too little to tell.
func failingRoute(f Fact, samples uint64) bool {
	return fails(&f) && *f.Errors*float64(samples) >= 2
}

func weightOf(f Fact) float64 {
	w := 0.0
	if f.Bad {
		w = 1000
	}
	if f.Errors != nil {
		w += 100 * *f.Errors
	}
	if f.Usual != nil && *f.Usual > 0 {
		w += min(100, f.Value / *f.Usual)
	}
	return w
}

// targets tells of those that are not UP, and why checks fail.
func (g *gathering) targets() {
	shown := 0
	for _, name := range slices.Sorted(maps.Keys(g.m.Before.Targets)) {
		t := g.m.Before.Targets[name]
		if t.State == policy.Down && shown < shownTargets {
			shown++
			g.e.add(Fact{Name: TargetFact, Subject: name, Value: float64(t.ConsecutiveFailures), Unit: Count, Text: t.Reason})
		}
	}
	type failed struct{ target, reason string }
	counts := map[failed]int{}
	var order []failed
	for _, c := range g.m.Input.Checks {
		if k := (failed{c.Target, c.Reason}); !c.OK {
			if counts[k] == 0 {
				order = append(order, k)
			}
			counts[k]++
		}
	}
	for _, k := range order[:min(len(order), shownChecks)] {
		g.e.add(Fact{Name: CheckFact, Subject: k.target, Value: float64(counts[k]), Unit: Count, Text: k.reason})
	}
}

func (g *gathering) gates() {
	for _, b := range g.m.Decision.Breaches[:min(len(g.m.Decision.Breaches), shownGates)] {
		g.e.add(Fact{Name: GateFact, Subject: b.Key, Value: 1, Unit: Count, Text: b.Reason})
	}
}

// before is how long before an incident a change may be for it to be shown.
const before = 24 * time.Hour

func (g *gathering) changes() {
	shown := 0
	for _, c := range g.m.Changes {
		age := g.m.begin().Sub(c.At)
		if age < -time.Minute || age > before || shown == shownChanges {
			continue
		}
		shown++
		text := c.Title
		if len(c.Touches) > 0 {
			text = "touches " + strings.Join(c.Touches[:min(len(c.Touches), 4)], ", ") + ": " + text
		}
		g.e.add(Fact{Name: ChangeFact, Subject: c.Kind, Value: max(0, age.Seconds()), Unit: Seconds, Text: text})
	}
}

func (g *gathering) earlier() {
	for _, one := range g.m.Earlier[:min(len(g.m.Earlier), shownEarlier)] {
		g.e.add(Fact{
			Name: EarlierFact, Subject: one.IncidentID, Value: max(0, g.m.begin().Sub(one.StartedAt).Seconds()), Unit: Seconds, Text: one.ending(),
		})
	}
}

// failureOf is the kind of a reason why something could not be reached.
type failureClass uint8

const (
	noFailure failureClass = iota
	refusedFailure
	closedFailure
	nameFailure
	certificateFailure
	networkFailure
	timeoutFailure
	otherFailure
)

// failureKind classifies the names that the proxy gives.
func failureKind(name string) failureClass {
	switch name {
	case "upstream_refused":
		return refusedFailure
	case "upstream_closed":
		return closedFailure
	case "upstream_not_found":
		return nameFailure
	case "upstream_certificate", "upstream_certificate_expired", "upstream_tls":
		return certificateFailure
	case "upstream_unreachable", "upstream_connect_timeout", "upstream_reset":
		return networkFailure
	case "upstream_timeout", "total_timeout":
		return timeoutFailure
	case "upstream_busy", "upstream_bad_response", "overloaded":
		return otherFailure
	}
	return noFailure
}

// reasonKind classifies the reasons that active checks give.
func reasonKind(reason string) failureClass {
	has := func(parts ...string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(reason, p) })
	}
	switch {
	case has("certificate", "is not TLS"):
		return certificateFailure
	case strings.HasPrefix(reason, "host ") && has("not found"):
		return nameFailure
	case has("connection refused", "no socket there"):
		return refusedFailure
	case has("closed before the end"):
		return closedFailure
	case has("no route to host", "network is unreachable", "connection reset"):
		return networkFailure
	case has("timed out"):
		return timeoutFailure
	}
	return noFailure
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
