package diagnosis

import "fmt"

// rule says what speaks for a cause. All that it needs must be there; hints add to
// its strength or, below 0, take from it. While a clue of most is there its strength is
// that weight at the most, whatever else speaks for it.
type rule struct {
	cause Cause
	base  float64
	needs []clue
	hints []hint
	most  []hint
}

type hint struct {
	weight float64
	clue   clue
}

// unripe keeps what may yet turn out to be a queue at the lowest confidence.
var unripe = []hint{{0.69, young}, {0.69, grown}}

// rules are independent of each other and of their order: each is weighed, and the
// strongest wins, if it is far enough from the next.
var rules = []rule{
	{UpstreamDown, 0.75, []clue{refused, failing}, []hint{{0.15, refusedOnly}, {0.1, mostFail}, {-0.35, rollout}, {-0.3, partialRefusal}, {-0.4, starting}}, nil},
	{UpstreamDown, 0.7, []clue{refusedOnly, not(keptUp, "hardly anything is served")}, []hint{{-0.35, fewFail}, {-0.3, rollout}, {-0.4, starting}}, nil},
	{UpstreamHang, 0.75, []clue{nothingFinishes}, []hint{{0.1, timedOut}, {-0.4, notConnecting}, {-0.2, rollout}, {-0.25, moreLoad}}, nil},
	{UpstreamHang, 0.6, []clue{timedOut, nearlyAll}, []hint{{0.15, allRoutes}, {-0.4, notConnecting}}, nil},

	{NameNotFound, 0.9, []clue{nameGone}, nil, nil},
	{Certificate, 0.9, []clue{certificate}, nil, nil},
	{Network, 0.7, []clue{unreachable}, []hint{{0.15, slowToConnect}, {0.1, failing}, {-0.2, rollout}}, nil},
	{Network, 0.6, []clue{slowToConnect, slower}, []hint{{0.15, allRoutes}, {-0.2, moreLoad}, {-0.3, pulsed}, {-0.2, rollout}}, nil},

	{DeadDependency, 0.55, []clue{failing, someFail, allOrNone}, []hint{{0.2, relayed}, {0.1, usualLoad}, {0.1, not(anyChange, "no change is known")}, {-0.3, rollout}, {-0.5, notConnecting}, {-0.2, moreLoad}}, nil},
	{DeadDependency, 0.45, []clue{nearlyAll, allRoutes, allOrNone}, []hint{{0.25, relayed}, {0.1, usualLoad}, {-0.35, rollout}, {-0.35, setting}, {-0.5, notConnecting}, {-0.3, timedOut}, {-0.2, moreLoad}}, nil},
	{DeadDependency, 0.4, []clue{oneRoute, allOrNone, relayed}, []hint{{0.15, not(anyChange, "no change is known")}, {-0.5, notConnecting}}, nil},

	{SlowDependency, 0.5, []clue{slower, middleSlow, fewFail}, []hint{{0.15, level}, {0.1, settled}, {-0.15, early}, {0.05, narrowSlow}, {-0.3, climbing}, {-0.3, grown}, {-0.3, queueing}, {-0.3, waiting}, {-0.2, unevenWait}, {-0.35, restarted}, {0.1, keptUp}, {0.1, usualLoad}, {0.1, someRoutes}, {0.05, floorSlow}, {-0.35, rollout}, {-0.35, setting}, {-0.3, moreLoad}, {-0.5, steadyRise}, {-0.3, pulsed}, {-0.4, starting}, {-0.4, oneRoute}, {-0.4, slowToConnect}, {-0.5, nothingFinishes}, {-0.45, sharedOut}}, unripe},
	{SlowDependency, 0.5, []clue{slower, someRoutes}, []hint{{0.15, level}, {0.1, settled}, {-0.15, early}, {0.05, narrowSlow}, {-0.3, climbing}, {-0.3, grown}, {-0.3, queueing}, {-0.3, waiting}, {-0.2, unevenWait}, {-0.35, restarted}, {0.1, keptUp}, {0.1, usualLoad}, {-0.35, rollout}, {-0.35, setting}, {-0.3, moreLoad}, {-0.4, failing}, {-0.5, steadyRise}, {-0.3, pulsed}, {-0.4, oneRoute}, {-0.5, nothingFinishes}}, unripe},

	{PoolExhaustion, 0.5, []clue{slower, queueing, usualLoad}, []hint{{0.2, climbing}, {-0.15, level}, {-0.35, restarted}, {0.1, middleSlow}, {0.1, wideSlow}, {0.05, someRoutes}, {0.05, allRoutes}, {-0.3, rollout}, {-0.3, setting}, {-0.45, nothingFinishes}, {-0.4, notConnecting}, {-0.4, oneRoute}, {-0.2, steadyRise}, {-0.3, pulsed}}, nil},
	{PoolExhaustion, 0.55, []clue{slower, failing, ceiling, usualLoad}, []hint{{0.15, queueing}, {0.1, someRoutes}, {0.1, narrowSlow}, {-0.4, allOrNone}, {-0.4, timedOut}, {-0.5, notConnecting}, {-0.3, rollout}, {-0.3, setting}, {-0.4, oneRoute}, {-0.3, nothingFinishes}}, nil},

	{PoolExhaustion, 0.55, []clue{slower, waiting, usualLoad}, []hint{{0.1, someRoutes}, {0.1, fewFail}, {0.1, queueing}, {-0.15, level}, {-0.35, restarted}, {-0.4, starting}, {-0.3, rollout}, {-0.3, setting}, {-0.45, nothingFinishes}, {-0.4, notConnecting}, {-0.4, oneRoute}, {-0.3, steadyRise}}, nil},
	{PoolExhaustion, 0.45, []clue{slower, usualLoad, unevenWait}, []hint{{0.15, someRoutes}, {0.1, keptUp}, {-0.3, rollout}, {-0.3, setting}, {-0.4, oneRoute}, {-0.4, pulsed}, {-0.4, failing}, {-0.35, restarted}, {-0.4, starting}, {-0.4, nothingFinishes}, {-0.4, steadyRise}}, nil},

	{BadDeployRoute, 0.75, []clue{oneRoute, anyChange}, []hint{{0.1, rollout}, {-0.15, someRoutes}, {-0.5, notConnecting}}, nil},
	{BadRoute, 0.7, []clue{oneRoute, not(anyChange, "no change is known in the half hour before")}, []hint{{-0.3, steadyRise}, {0.1, usualLoad}, {-0.15, someRoutes}, {-0.5, notConnecting}, {-0.2, moreLoad}}, nil},

	{BadDeployRoute, 0.7, []clue{failing, oneFails, anyChange}, []hint{{0.1, rollout}, {-0.5, notConnecting}, {-0.2, queueing}}, nil},
	{BadRoute, 0.6, []clue{failing, oneFails, not(anyChange, "no change is known in the half hour before")}, []hint{{-0.2, queueing}, {0.1, usualLoad}, {-0.5, notConnecting}, {-0.2, moreLoad}}, nil},

	{Deployment, 0.75, []clue{rollout, allRoutes}, []hint{{-0.4, oneRoute}, {-0.3, oneFails}, {-0.15, restarted}, {-0.2, mended}, {0.1, failing}, {0.1, usualLoad}, {-0.45, starting}, {-0.25, moreLoad}, {-0.5, nameGone}, {-0.5, certificate}, {-0.3, pulsed}}, nil},
	{Deployment, 0.8, []clue{rollout, refused, failing}, []hint{{-0.4, starting}}, nil},
	{Deployment, 0.55, []clue{rollout, someRoutes}, []hint{{-0.4, oneRoute}, {0.1, usualLoad}, {-0.3, notConnecting}}, nil},
	{Configuration, 0.75, []clue{setting, allRoutes}, []hint{{-0.4, oneRoute}, {-0.3, oneFails}, {0.1, failing}, {-0.4, rollout}, {-0.25, moreLoad}, {-0.5, notConnecting}}, nil},
	{Configuration, 0.6, []clue{setting, someRoutes}, []hint{{0.1, usualLoad}, {-0.4, rollout}, {-0.5, notConnecting}}, nil},

	{PauseOfProcess, 0.6, []clue{slower, partly, floorSame, pulsed}, []hint{{-0.4, someRoutes}, {-0.3, waiting}, {0.15, wideSlow}, {0.1, middleSame}, {0.1, alike}, {-0.4, oneRoute}, {-0.3, moreLoad}, {-0.5, steadyRise}, {-0.4, failing}, {-0.5, nothingFinishes}}, nil},
	{PauseOfProcess, 0.45, []clue{slower, partly, floorSame, wideSlow, allRoutes, alike, fewFail}, []hint{{0.2, middleSame}, {0.1, pulsed}, {-0.3, waiting}, {-0.3, moreLoad}, {-0.4, climbing}, {-0.3, rollout}, {-0.2, level}, {-0.5, nothingFinishes}}, nil},

	{RetryStorm, 0.65, []clue{stormy, collapsed}, []hint{{0.1, clientsLeave}, {0.1, queueing}, {0.1, timedOut}, {0.05, shedding}, {-0.45, notConnecting}, {-0.2, allOrNone}}, nil},
	{TrafficSpike, 0.7, []clue{moreLoad, keptUp}, []hint{{0.1, slower}, {0.1, allRoutes}, {-0.4, notConnecting}, {-0.3, oneRoute}}, nil},
	{TrafficSpike, 0.55, []clue{moreLoad}, []hint{{0.15, queueing}, {0.05, shedding}, {-0.35, collapsed}, {-0.4, notConnecting}}, nil},

	{ColdStart, 0.75, []clue{starting}, []hint{{0.1, gotBetter}, {0.1, falling}, {-0.4, pulsed}, {0.1, fewFail}, {0.05, allRoutes}, {-0.3, moreLoad}}, nil},
	{ColdStart, 0.65, []clue{restarted, slower, allRoutes}, []hint{{0.15, gotBetter}, {0.15, falling}, {0.1, changed(10*60, "deployment", "image")}, {-0.3, pulsed}, {-0.2, climbing}}, nil},
	{ResourceRamp, 0.75, []clue{steadyRise}, []hint{{-0.35, sharedOut}, {0.1, usualLoad}, {0.05, slower}, {-0.4, moreLoad}, {-0.3, rollout}, {-0.3, oneRoute}}, nil},

	{PartialOutage, 0.7, []clue{failing, evenly}, []hint{{-0.5, notConnecting}, {-0.5, timedOut}, {0.1, usualLoad}, {0.05, middleSame}, {-0.3, rollout}, {-0.3, setting}, {-0.3, moreLoad}, {-0.4, queueing}, {-0.3, slower}}, nil},
	{PartialOutage, 0.6, []clue{slower, partly, floorSame, narrowSlow, everywhere, alike}, []hint{{0.1, middleSame}, {-0.4, pulsed}, {-0.3, rollout}, {-0.3, moreLoad}, {-0.3, climbing}, {0.1, level}}, unripe},

	{RejectedRequests, 0.6, []clue{rejecting}, []hint{{0.15, not(failing, "hardly a request fails otherwise")}, {-0.4, failing}, {-0.3, slower}}, nil},
}

// partialRefusal is the clue that connections are refused for a steady part of
// the requests only.
func partialRefusal(e *Evidence) (string, []*Fact) {
	if f := e.Find(ErrorRate); f != nil && f.Value < 0.5 {
		return fmt.Sprintf("%s of the requests are still answered", percent(1-f.Value)), []*Fact{f}
	}
	return nothing()
}

// stormy is the clue that more is offered than usual, as for a retry storm.
func stormy(e *Evidence) (string, []*Fact) {
	f := e.Find(Offered)
	if r, ok := f.ratio(); ok && r >= 1.25 {
		return fmt.Sprintf("%s arrive where %s are usual", f.amount(f.Value), f.amount(*f.Usual)), []*Fact{f}
	}
	return nothing()
}

// justStarted is the clue that the service has begun anew: a rollout, connections
// that were refused a moment ago, or a silence before.
func justStarted(e *Evidence) (string, []*Fact) {
	if says, facts := changed(10*60, "deployment", "image")(e); says != "" {
		return says, facts
	}
	for _, f := range e.All(Failure) {
		if k := failureKind(f.Subject); (k == refusedFailure || k == closedFailure) && f.Value > 0 {
			return fmt.Sprintf("connections were refused a moment ago (%s)", figure(f.Value)), []*Fact{f}
		}
	}
	if f := e.Find(Uptime); f != nil && f.Value <= 90 {
		return fmt.Sprintf("measuring began only %s ago", brief(f.Value)), []*Fact{f}
	}
	return nothing()
}
