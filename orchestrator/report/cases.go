package report

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// cases collects the incidents of the period. The latest are kept in full; of
// the others it is counted what they came to, once they have ended.
type cases struct {
	o    Options
	list []Incident // the latest, as they began

	begun    map[string]int  // all of the period: the number of each, from 0
	verdicts map[string]bool // those with a verdict: whether it is a false alarm
	gone     map[string]int  // by stage, those that are not in list any longer
	sum      Detection
	total    float64 // of the detection times
}

func newCases(o Options) *cases {
	return &cases{o: o, begun: map[string]int{}, verdicts: map[string]bool{}, gone: map[string]int{}}
}

// take takes in an entry of the tenant's, from before the period too.
func (c *cases) take(index uint64, e incident.Entry) {
	if s, opens := incident.Summarize(index, e); opens {
		c.open(s, e)
		return
	}
	n, known := c.begun[e.IncidentID]
	if !known {
		return
	}
	if e.Kind == incident.KindMarked {
		c.verdicts[e.IncidentID] = text(e, "verdict") == incident.FalseAlarm
	}
	// A ledger has one incident open at a time: those that are left out have
	// ended, and only a verdict can still come.
	if at := n - (len(c.begun) - len(c.list)); at >= 0 {
		c.list[at].follow(index, e, c.o.From)
	}
}

func (c *cases) open(s incident.Summary, e incident.Entry) {
	if _, again := c.begun[s.ID]; again {
		return // no sound ledger has it, and the first counts
	}
	// Of what ended before the period began nothing is told.
	if n := len(c.list); n > 0 && c.list[n-1].before(c.o.From) {
		delete(c.begun, c.list[n-1].ID)
		delete(c.verdicts, c.list[n-1].ID)
		c.list = c.list[:n-1]
	}
	i := Incident{Summary: s, Reached: s.Stage, Detected: detection(e)}
	c.begun[s.ID] = len(c.begun)
	c.list = append(c.list, i)
	if len(c.list) > MaxIncidents {
		c.forget(c.list[0])
		c.list = c.list[1:]
	}
}

// detection is how long it took from the tick to the entry.
func detection(e incident.Entry) *float64 {
	observed, err := time.Parse(time.RFC3339Nano, text(e, "observed_at"))
	if err != nil || e.Time.Before(observed) {
		return nil
	}
	seconds := e.Time.Sub(observed).Seconds()
	return &seconds
}

// before says that the incident was over when the period began.
func (i Incident) before(from time.Time) bool {
	return !i.EndedAt.IsZero() && i.EndedAt.Before(from)
}

// follow takes in a later entry about the incident.
func (i *Incident) follow(index uint64, e incident.Entry, from time.Time) {
	i.Follow(index, e)
	switch e.Kind {
	case incident.KindMarked:
		i.Who, i.Note = strings.TrimPrefix(e.Actor, "human:"), text(e, "note")
	case incident.KindEffectSuppressed:
		if !e.Time.Before(from) {
			i.Suppressed++
		}
	case incident.KindOf(e.Stage):
		if !e.Stage.Terminal() {
			i.Reached = e.Stage
		} else if lasted := i.EndedAt.Sub(i.StartedAt).Seconds(); lasted >= 0 {
			i.Duration = &lasted
		}
	}
}

// forget counts an incident that is not listed.
func (c *cases) forget(i Incident) {
	c.gone[string(i.Stage)]++
	c.measure(i)
}

func (c *cases) measure(i Incident) {
	if i.Detected == nil {
		return
	}
	c.sum.Known++
	c.total += *i.Detected
	mean := c.total / float64(c.sum.Known)
	c.sum.Mean = &mean
	if c.sum.Max == nil || *i.Detected > *c.sum.Max {
		c.sum.Max = i.Detected
	}
}

func (c *cases) finish() Incidents {
	if n := len(c.list); n > 0 && c.list[n-1].before(c.o.From) {
		delete(c.begun, c.list[n-1].ID)
		delete(c.verdicts, c.list[n-1].ID)
		c.list = c.list[:n-1]
	}
	out := Incidents{Total: len(c.begun), ByStage: maps.Clone(c.gone), LeftOut: len(c.begun) - len(c.list)}
	for _, i := range c.list {
		out.ByStage[string(i.Stage)]++
		c.measure(i)
	}
	for _, falseAlarm := range c.verdicts {
		if falseAlarm {
			out.FalseAlarms++
		} else {
			out.Confirmed++
		}
	}
	out.Unmarked = out.Total - out.FalseAlarms - out.Confirmed
	out.Detection = c.sum
	out.List = append([]Incident{}, c.list...) // a list in JSON, also when it is empty
	slices.Reverse(out.List)
	return out
}
