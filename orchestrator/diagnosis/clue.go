package diagnosis

import (
	"fmt"
	"slices"
)

// clue looks for one thing in the evidence. It returns a sentence without a full
// stop and the facts it rests on; an empty sentence when the thing is not there.
type clue func(e *Evidence) (says string, facts []*Fact)

func nothing() (string, []*Fact) { return "", nil }

// ratio is a fact's value over what is usual, and false when that is not known.
func (f *Fact) ratio() (float64, bool) {
	if f == nil || f.Usual == nil || *f.Usual <= 0 {
		return 0, false
	}
	return f.Value / *f.Usual, true
}

// above is the clue that a fact's value reaches a limit.
func above(n Name, limit float64, says string) clue {
	return func(e *Evidence) (string, []*Fact) {
		if f := e.Find(n); f != nil && f.Value >= limit {
			return fmt.Sprintf(says, f.amount(f.Value)), []*Fact{f}
		}
		return nothing()
	}
}

// below is the clue that a fact's value does not exceed a limit.
func below(n Name, limit float64, says string) clue {
	return func(e *Evidence) (string, []*Fact) {
		if f := e.Find(n); f != nil && f.Value <= limit {
			return fmt.Sprintf(says, f.amount(f.Value)), []*Fact{f}
		}
		return nothing()
	}
}

// rose is the clue that a latency is by a factor, and by so many milliseconds,
// above what is usual; stayed that it is not.
func rose(n Name, factor, floor float64, what string) clue {
	return func(e *Evidence) (string, []*Fact) {
		f := e.Find(n)
		if r, ok := f.ratio(); ok && r >= factor && f.Value >= *f.Usual+floor {
			return fmt.Sprintf("%s is %s where %s is usual", what, f.amount(f.Value), f.amount(*f.Usual)), []*Fact{f}
		}
		return nothing()
	}
}

func stayed(n Name, factor, floor float64, what string) clue {
	return func(e *Evidence) (string, []*Fact) {
		f := e.Find(n)
		if r, ok := f.ratio(); ok && (r < factor || f.Value < *f.Usual+floor) {
			return fmt.Sprintf("%s is as usual (%s)", what, f.amount(f.Value)), []*Fact{f}
		}
		return nothing()
	}
}

// The clues about latency and errors.
var (
	slower     = rose(LatencyP95, 2, 50, "the P95")
	middleSlow = rose(LatencyP50, 1.6, 10, "the median")
	middleSame = stayed(LatencyP50, 1.5, 10, "the median")
	floorSlow  = rose(LatencyFloor, 1.5, 5, "even the fastest twentieth's limit")
	floorSame  = stayed(LatencyFloor, 1.5, 5, "the fastest requests' latency")

	failing    = above(ErrorRate, 0.05, "%s of the requests fail")
	mostFail   = above(ErrorRate, 0.6, "%s of the requests fail")
	nearlyAll  = above(ErrorRate, 0.9, "%s of the requests fail")
	fewFail    = below(ErrorRate, 0.03, "hardly a request fails (%s)")
	wideSlow   = above(SlowSpread, 0.8, "the slow requests are spread widely (%s of their median), as if they waited for the end of something")
	narrowSlow = below(SlowSpread, 0.7, "the slow requests take about the same time (spread %s of their median)")
	unevenWait = above(SlowSpread, 1.8, "what is slow waits for very different times (spread %s of the median), as in a queue that grows and shrinks")
	gotBetter  = above(Relief, 0.35, "the P95 is already %s below its worst, and falling")
	pulsed     = above(Pulses, 2, "it was bad and well again %s times in the last minutes")
	climbing   = above(Climb, 1.07, "the P95 climbs from tick to tick, to %s the one before")
	grown      = above(Growth, 1.3, "the P95 has grown to %s what it was when it began")
	falling    = below(Climb, 0.95, "the P95 falls from tick to tick, to %s the one before")
	steadyRise = above(Ramp, 1.5, "the P95 has risen steadily, to %s what it was")
)

// early is the clue that it has not been bad for long enough to see whether it goes
// on getting worse, as a queue does.
func early(e *Evidence) (string, []*Fact) {
	if f := e.Find(OnsetAge); f != nil && e.Find(Climb) == nil && e.Find(InFlightStep) == nil {
		return fmt.Sprintf("it has been so for %s only, too short to see whether it goes on climbing", f.amount(f.Value)), []*Fact{f}
	}
	return nothing()
}

// young is the clue that it has not been bad for five ticks, in which a queue shows
// that it fills.
func young(e *Evidence) (string, []*Fact) {
	if e.Find(Growth) == nil {
		return "it has not been so for long", nil
	}
	return nothing()
}

// settled is the clue that no more requests wait than a tick ago, while it is too early
// to say so of the P95.
func settled(e *Evidence) (string, []*Fact) {
	if f := e.Find(InFlightStep); f != nil && e.Find(Climb) == nil && f.Value <= 1.06 {
		return fmt.Sprintf("the requests in flight no longer grow (%s the tick before)", f.amount(f.Value)), []*Fact{f}
	}
	return nothing()
}

// level is the clue that the P95 neither climbs nor falls any more.
func level(e *Evidence) (string, []*Fact) {
	if f := e.Find(Climb); f != nil && stays(f.Value) {
		return fmt.Sprintf("the P95 stays where it is (%s the tick before)", f.amount(f.Value)), []*Fact{f}
	}
	return nothing()
}

// starting is the clue that it gets better by itself after a start.
func starting(e *Evidence) (string, []*Fact) {
	better, facts := gotBetter(e)
	if better == "" {
		better, facts = falling(e)
	}
	started, cited := justStarted(e)
	serves, figures := keptUp(e)
	well, rate := fewFail(e) // what goes on failing is no start
	if better == "" || started == "" || serves == "" || well == "" {
		return nothing()
	}
	return started + ", and " + better, slices.Concat(facts, cited, figures, rate)
}

// restarted is the clue that connections were refused a moment ago, and that as
// much is served again as usual.
func restarted(e *Evidence) (string, []*Fact) {
	says, facts := mended(e)
	serves, figures := keptUp(e)
	if says == "" || serves == "" {
		return nothing()
	}
	return says + ", and " + serves, slices.Concat(facts, figures)
}

// ceiling is the clue that what is slow ends at one time, as by a timeout.
func ceiling(e *Evidence) (string, []*Fact) {
	p95, longest := e.Find(LatencyP95), e.Find(LatencyMax)
	if p95 == nil || longest == nil || p95.Value < 1000 || longest.Value > 1.15*p95.Value {
		return nothing()
	}
	return fmt.Sprintf("the slow requests all end at about %s, as if by a timeout", p95.amount(p95.Value)), []*Fact{p95, longest}
}

// mended is the clue that connections were refused a moment ago, and that hardly a
// request fails any more.
func mended(e *Evidence) (string, []*Fact) {
	for _, f := range e.All(Failure) {
		if k := failureKind(f.Subject); k != refusedFailure && k != closedFailure || f.Part == nil || *f.Part < 0.01 {
			continue
		}
		if well, rate := fewFail(e); well != "" {
			return fmt.Sprintf("connections were refused (%s), and now %s", percent(*f.Part), well), append([]*Fact{f}, rate...)
		}
	}
	return nothing()
}

// sharedOut is the clue that a part of the requests of every route is slow, and
// the rest of them as fast as ever.
func sharedOut(e *Evidence) (string, []*Fact) {
	says, facts := partly(e)
	if says == "" {
		return nothing()
	}
	for _, c := range []clue{everywhere, floorSame, alike} {
		more, cited := c(e)
		if more == "" {
			return nothing()
		}
		facts = append(facts, cited...)
	}
	return says + ", on all routes alike", facts
}

// partly is the clue that a share is slow while the rest is not.
func partly(e *Evidence) (string, []*Fact) {
	if f := e.Find(SlowShare); f != nil && f.Value >= 0.03 && f.Value <= 0.7 {
		return fmt.Sprintf("%s of the requests are much slower than usual, the others are not", percent(f.Value)), []*Fact{f}
	}
	return nothing()
}

// The clues about load.

func moreLoad(e *Evidence) (string, []*Fact) {
	f := e.Find(Offered)
	if r, ok := f.ratio(); ok && r >= 1.6 && f.Value >= *f.Usual+3 {
		return fmt.Sprintf("%s arrive where %s are usual", f.amount(f.Value), f.amount(*f.Usual)), []*Fact{f}
	}
	return nothing()
}

func usualLoad(e *Evidence) (string, []*Fact) {
	f := e.Find(Offered)
	if r, ok := f.ratio(); ok && r < 1.4 {
		return fmt.Sprintf("the load is as usual (%s)", f.amount(f.Value)), []*Fact{f}
	}
	return nothing()
}

// collapsed is the clue that much less is served than usual.
func collapsed(e *Evidence) (string, []*Fact) {
	f := e.Find(Served)
	if r, ok := f.ratio(); ok && r <= 0.7 {
		return fmt.Sprintf("only %s are answered without an error where %s are usual", f.amount(f.Value), f.amount(*f.Usual)), []*Fact{f}
	}
	return nothing()
}

// keptUp is the clue that at least as much is served as usual.
func keptUp(e *Evidence) (string, []*Fact) {
	f := e.Find(Served)
	if r, ok := f.ratio(); ok && r >= 0.85 {
		return fmt.Sprintf("as much is served as usual (%s)", f.amount(f.Value)), []*Fact{f}
	}
	return nothing()
}

// waiting is the clue that the longest wait grows from tick to tick by less than the
// time that passes, and that ever more requests wait: a queue that is served, too
// slowly.
func waiting(e *Evidence) (string, []*Fact) {
	wait, step := e.Find(WaitGrowth), e.Find(InFlightStep)
	if wait == nil || step == nil || step.Value < 1.15 {
		return nothing()
	}
	return fmt.Sprintf("the longest wait grows tick after tick, by %s of the time that passes, and %s the requests of a tick ago wait, as in a queue that is served too slowly",
		percent(wait.Value), step.amount(step.Value)), []*Fact{wait, step}
}

// queueing is the clue that requests in flight pile up faster than is served.
func queueing(e *Evidence) (string, []*Fact) {
	f, offered := e.Find(QueueGrowth), e.Find(Offered)
	if f == nil || offered == nil || f.Value < max(0.25, 0.04*offered.Value) {
		return nothing()
	}
	return fmt.Sprintf("the requests in flight grow by %s", f.amount(f.Value)), []*Fact{f}
}

func clientsLeave(e *Evidence) (string, []*Fact) {
	if f := e.Find(ClientGone); f != nil && f.Part != nil && *f.Part >= 0.05 {
		return fmt.Sprintf("%s of the clients leave before their answer", percent(*f.Part)), []*Fact{f}
	}
	return nothing()
}

// The clues about what changed.

// change within is the clue that something of the kinds was changed so many
// seconds before.
func changed(within float64, kinds ...string) clue {
	return func(e *Evidence) (string, []*Fact) {
		for _, f := range e.All(ChangeFact) {
			for _, kind := range kinds {
				if f.Subject == kind && f.Value <= within {
					return fmt.Sprintf("a %s came %s before", kind, brief(f.Value)), []*Fact{f}
				}
			}
		}
		return nothing()
	}
}

var (
	rollout   = changed(15*60, "deployment", "image", "commit")
	setting   = changed(15*60, "flag", "config", "migration", "infrastructure")
	anyChange = changed(30*60, "deployment", "image", "commit", "flag", "config", "migration", "infrastructure")
)

// not turns a clue around. It rests on no fact: it is about what is absent.
func not(c clue, says string) clue {
	return func(e *Evidence) (string, []*Fact) {
		if s, _ := c(e); s == "" {
			return says, nil
		}
		return nothing()
	}
}
