package diagnosis

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// The clues about routes.

// allRoutes is the clue that nearly all routes are bad, of at least three.
func allRoutes(e *Evidence) (string, []*Fact) {
	f := e.Find(RoutesBad)
	if f == nil || len(e.All(RouteFact)) < 2 || f.Value < 0.75 {
		return nothing()
	}
	return fmt.Sprintf("%s of the routes are slower or fail more than usual", percent(f.Value)), []*Fact{f}
}

// everywhere is the clue that nearly all requests are for routes that are bad, of at
// least three.
func everywhere(e *Evidence) (string, []*Fact) {
	f := e.Find(RoutesBad)
	if f == nil || f.Part == nil || len(e.All(RouteFact)) < 3 || *f.Part < 0.9 {
		return nothing()
	}
	return fmt.Sprintf("%s of the requests are for routes that are slower or fail more than usual", percent(*f.Part)), []*Fact{f}
}

// oneRoute is the clue that one route alone is bad, of at least three: the others
// are as usual, or have hardly a share of the harm.
func oneRoute(e *Evidence) (string, []*Fact) {
	bad, f := badRoutes(e), e.Find(RoutesBad)
	if len(bad) == 0 || f == nil || len(e.All(RouteFact)) < 3 {
		return nothing()
	}
	worst := slices.MaxFunc(bad, func(a, b *Fact) int { return cmp.Compare(harm(a), harm(b)) })
	var all float64
	for _, one := range bad {
		all += harm(one)
	}
	if all == 0 || harm(worst) < 0.7*all {
		return nothing()
	}
	return fmt.Sprintf("only one route is bad: %s", worst.String()), []*Fact{worst, f}
}

// harm is how much a route adds to what is bad: the share of all requests that
// fail on it, and the seconds that it is slower for its share.
func harm(f *Fact) float64 {
	if f.Part == nil {
		return 0
	}
	h := 0.0
	if f.Errors != nil {
		h = *f.Errors
		if f.UsualErrors != nil {
			h = max(0, h-*f.UsualErrors)
		}
	}
	if f.Usual != nil {
		h += min(1, max(0, f.Value-*f.Usual)/5000)
	}
	return h * *f.Part
}

// alike is the clue that the bad routes are bad to the same degree.
func alike(e *Evidence) (string, []*Fact) {
	var low, high *Fact
	for _, f := range badRoutes(e) {
		if low == nil || f.Value < low.Value {
			low = f
		}
		if high == nil || f.Value > high.Value {
			high = f
		}
	}
	if low == nil || low == high || high.Value > 1.7*low.Value {
		return nothing()
	}
	return fmt.Sprintf("all bad routes have about the same P95, %s to %s", low.amount(low.Value), high.amount(high.Value)), []*Fact{low, high}
}

// someRoutes is the clue that more than one is bad, and not all.
func someRoutes(e *Evidence) (string, []*Fact) {
	bad, f := badRoutes(e), e.Find(RoutesBad)
	if len(bad) < 2 || f == nil || f.Value >= 0.75 {
		return nothing()
	}
	return fmt.Sprintf("%d routes are bad and others are as usual", len(bad)), append([]*Fact{f}, bad[:2]...)
}

// fails says whether a good part of a route's requests fails, and more than usual.
func fails(f *Fact) bool {
	if f.Errors == nil {
		return false
	}
	usual := 0.0
	if f.UsualErrors != nil {
		usual = *f.UsualErrors
	}
	return *f.Errors >= max(0.05, 3*usual)
}

// oneFails is the clue that one route fails, of at least three; the others may well be
// slow.
func oneFails(e *Evidence) (string, []*Fact) {
	var failed []*Fact
	for _, f := range e.All(RouteFact) {
		if fails(f) {
			failed = append(failed, f)
		}
	}
	if len(failed) != 1 || len(e.All(RouteFact)) < 3 {
		return nothing()
	}
	return fmt.Sprintf("only one route fails: %s", failed[0].String()), failed
}

// allOrNone is the clue that the routes that fail do so nearly always.
func allOrNone(e *Evidence) (string, []*Fact) {
	var cited []*Fact
	for _, f := range e.All(RouteFact) {
		if !fails(f) {
			continue
		}
		if *f.Errors < 0.85 {
			return nothing()
		}
		cited = append(cited, f)
	}
	if len(cited) == 0 {
		return nothing()
	}
	return fmt.Sprintf("what fails, fails nearly always (%s: %s)", cited[0].Subject, percent(*cited[0].Errors)), cited[:min(len(cited), 3)]
}

// someFail is the clue that more than one route fails, and another does not; it may
// well be slow.
func someFail(e *Evidence) (string, []*Fact) {
	var failed, others []*Fact
	for _, f := range e.All(RouteFact) {
		if fails(f) {
			failed = append(failed, f)
		} else {
			others = append(others, f)
		}
	}
	if len(failed) < 2 || len(others) == 0 {
		return nothing()
	}
	return fmt.Sprintf("%d routes fail and others do not", len(failed)), append(failed[:2:2], others[0])
}

// evenly is the clue that all routes fail at about the same rate, which is neither
// nearly none nor nearly all: by less than what chance makes of their numbers.
func evenly(e *Evidence) (string, []*Fact) {
	overall := e.Find(ErrorRate)
	routes := e.All(RouteFact)
	if overall == nil || overall.Value < 0.05 || overall.Value > 0.8 || len(routes) < 2 {
		return nothing()
	}
	offered := e.Find(Offered)
	judged := 0
	for _, f := range routes {
		if f.Errors == nil || f.Part == nil || offered == nil {
			continue
		}
		n := *f.Part * offered.Value * max(e.Recent, 1)
		if n < 8 {
			continue
		}
		judged++
		deviation := math.Sqrt(overall.Value * (1 - overall.Value) / n)
		if math.Abs(*f.Errors-overall.Value) > max(3*deviation, 0.05) {
			return nothing()
		}
	}
	if judged < 2 {
		return nothing()
	}
	return fmt.Sprintf("about the same share of every route fails (%s)", percent(overall.Value)), append([]*Fact{overall}, routes[:2]...)
}

// The clues about why the upstream could not be used.

// failed is the clue that failures of a class are a good part of the traffic, or
// are the reason that checks give.
func failed(says string, least float64, classes ...failureClass) clue {
	is := func(k failureClass) bool {
		for _, c := range classes {
			if k == c {
				return true
			}
		}
		return false
	}
	return func(e *Evidence) (string, []*Fact) {
		var cited []*Fact
		var count, part, all float64
		for _, f := range e.All(Failure) {
			all += f.Value
			if is(failureKind(f.Subject)) {
				cited = append(cited, f)
				count += f.Value
				if f.Part != nil {
					part += *f.Part
				}
			}
		}
		if count >= 3 && part >= least && count >= 0.5*all && count >= 0.5*allErrors(e) {
			return fmt.Sprintf("%s: %s of the requests, %s", says, percent(part), figure(count)), cited
		}
		if all > 2*count && all >= 10 {
			return nothing() // the traffic says something else than a check
		}
		for _, n := range []Name{CheckFact, TargetFact} {
			for _, f := range e.All(n) {
				if is(reasonKind(f.Text)) {
					return fmt.Sprintf("%s, as the check of %s says: %s", says, f.Subject, f.Text), append(cited, f)
				}
			}
		}
		return nothing()
	}
}

// allErrors is how many requests of the window failed.
func allErrors(e *Evidence) float64 {
	var n float64
	for _, name := range []Name{GatewayErrors, ServerErrors} {
		if f := e.Find(name); f != nil {
			n += f.Value
		}
	}
	return n
}

var (
	refused     = failed("connections are refused or closed", 0.02, refusedFailure, closedFailure)
	refusedOnly = failed("connections are refused", 0.02, refusedFailure)
	nameGone    = failed("the name cannot be resolved", 0.02, nameFailure)
	certificate = failed("the certificate or handshake is not accepted", 0.02, certificateFailure)
	unreachable = failed("connections are not made in time or are reset", 0.02, networkFailure)
	timedOut    = failed("no answer comes in time", 0.02, timeoutFailure)
)

// notConnecting is any of the failures that come before a request is sent.
func notConnecting(e *Evidence) (string, []*Fact) {
	for _, c := range []clue{refused, nameGone, certificate, unreachable} {
		if says, facts := c(e); says != "" {
			return says, facts
		}
	}
	return nothing()
}

// status is the clue that answers of one of the statuses are a part of the traffic.
func status(least float64, says string, codes ...string) clue {
	return func(e *Evidence) (string, []*Fact) {
		var cited []*Fact
		part := 0.0
		for _, f := range e.All(StatusCode) {
			for _, code := range codes {
				if f.Subject == code && f.Part != nil {
					cited = append(cited, f)
					part += *f.Part
				}
			}
		}
		if part < least {
			return nothing()
		}
		return fmt.Sprintf("%s: %s (%s)", says, percent(part), cited[0].Subject), cited
	}
}

var (
	relayed   = status(0.02, "the service answers what gateways answer when something behind them is not there", "502", "503", "504")
	shedding  = status(0.02, "the service turns requests away", "503", "429")
	rejecting = status(0.2, "requests are rejected", "400", "401", "403", "404", "405", "409", "410", "422", "429")
)

// nothingFinishes is the clue that requests wait and none is answered.
func nothingFinishes(e *Evidence) (string, []*Fact) {
	served, waiting, longest := e.Find(Served), e.Find(InFlight), e.Find(LatencyMax)
	if served == nil || waiting == nil || longest == nil || waiting.Value < 5 || longest.Value < 1000 {
		return nothing()
	}
	if r, ok := served.ratio(); !ok || r > 0.1 {
		return nothing()
	}
	return fmt.Sprintf("%s requests wait, the longest for %s, and hardly one is answered", figure(waiting.Value), longest.amount(longest.Value)),
		[]*Fact{waiting, longest, served}
}

// slowToConnect is the clue that making a connection takes longer.
func slowToConnect(e *Evidence) (string, []*Fact) {
	f := e.Find(ConnectTime)
	if f == nil || f.Value < 100 {
		return nothing()
	}
	if r, ok := f.ratio(); ok && r < 5 || !ok && f.Value < 300 {
		return nothing()
	}
	return fmt.Sprintf("a connection takes %s to be made", f.amount(f.Value)), []*Fact{f}
}
