package diagnosis

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Outcome is how the answers of a council stand to each other.
type Outcome string

// The outcomes.
const (
	// Consensus: two name the same cause and rest on facts in common.
	Consensus Outcome = "consensus"
	// Dissent: two name causes, and do not agree on cause and facts.
	Dissent Outcome = "dissent"
	// Single: only one names a cause.
	Single Outcome = "single"
	// None: nobody does.
	None Outcome = "none"
)

// Record is one diagnosis, as it is kept: every opinion, and what came of them.
type Record struct {
	V          int       `json:"v"`
	At         time.Time `json:"at"`
	IncidentID string    `json:"incident_id,omitempty"`
	// EvidenceDigest is that of the evidence as JSON.
	EvidenceDigest string    `json:"evidence_digest"`
	Signature      string    `json:"signature"`
	Opinions       []Opinion `json:"opinions"`
	Result
}

// Result is what opinions come to.
type Result struct {
	Outcome Outcome `json:"outcome"`
	// Confidence is the lower one of those that count, 0 for None.
	Confidence float64 `json:"confidence"`
	// Withheld says that the text is not told, for want of confidence: the raw
	// figures are.
	Withheld bool `json:"withheld"`
	// Counts are the opinions that count, by their places: one, or two.
	Counts []int `json:"counts"`
	// TellApart says what to look at to know who is right; only for Dissent.
	TellApart string `json:"tell_apart,omitempty"`
}

// Merge says what opinions come to. It is pure. Of more than two that name a
// cause, the first two count.
func Merge(opinions []Opinion, minConfidence float64) Result {
	r := Result{Outcome: None, Withheld: true, Counts: []int{}}
	for i := range opinions {
		if !opinions[i].Answer.Abstained() && len(r.Counts) < 2 {
			r.Counts = append(r.Counts, i)
		}
	}
	if len(r.Counts) == 0 {
		return r
	}
	a := opinions[r.Counts[0]].Answer
	r.Outcome, r.Confidence = Single, a.Confidence
	if len(r.Counts) == 2 {
		b := opinions[r.Counts[1]].Answer
		r.Confidence = min(a.Confidence, b.Confidence)
		r.Outcome = Consensus
		if a.Cause != b.Cause || !meet(a.Facts, b.Facts) {
			r.Outcome, r.TellApart = Dissent, tellApart(a, b)
		}
	}
	r.Withheld = r.Confidence < minConfidence
	return r
}

// meet says whether two lists have an element in common.
func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(id string) bool { return slices.Contains(b, id) })
}

func tellApart(a, b *Answer) string {
	if a.Cause == b.Cause {
		return fmt.Sprintf("Both name %s, and rest on different facts: expect %s.", a.Cause, a.Cause.Tell())
	}
	return fmt.Sprintf("If it is %s, expect %s; if it is %s, %s.", a.Cause, a.Cause.Tell(), b.Cause, b.Cause.Tell())
}

// DefaultBudget is how long a message waits for a diagnosis.
const DefaultBudget = 8 * time.Second

// Council has diagnosers explain side by side. Its fields must not change once it
// is in use; Run is then safe for concurrent use.
type Council struct {
	// Seats are the diagnosers. The first two that name a cause count: a third
	// stands in for one that does not.
	Seats []Diagnoser
	// Budget is how long Run waits for answers; [DefaultBudget] when 0. It takes a
	// sixteenth longer when somebody is late.
	Budget time.Duration
	// MinConfidence is below what a text is withheld; [MinConfidence] when 0.
	MinConfidence float64
	// Now and After are the clock; those of package time when nil.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

// Run asks all at once and returns what they said within the budget. Who is late,
// or panics, has no answer, with the reason; ctx ends it early in the same way. A
// diagnoser that does not heed its context goes on by itself, and what it says
// then is dropped.
func (c *Council) Run(ctx context.Context, e Evidence) Record {
	now, after := c.Now, c.After
	if now == nil {
		now = time.Now
	}
	if after == nil {
		after = time.After
	}
	budget, least := c.Budget, c.MinConfidence
	if budget <= 0 {
		budget = DefaultBudget
	}
	if least <= 0 {
		least = MinConfidence
	}
	began := now()
	r := Record{V: Version, At: began.UTC(), IncidentID: e.IncidentID, EvidenceDigest: e.Digest(), Signature: e.Signature}
	r.Opinions = make([]Opinion, len(c.Seats))
	asked, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan said, len(c.Seats))
	for i, d := range c.Seats {
		go func() { answers <- said{i, ask(asked, d, e)} }()
	}
	alarm, off, missing := after(budget), ctx.Done(), ""
	// stop has those who have not answered end, and leaves them a moment to say what
	// they have done so far.
	stop := func(why string) {
		missing, off = why, nil
		cancel()
		alarm = after(budget / lastWords)
	}
	for left := len(c.Seats); left > 0; {
		select {
		case s := <-answers:
			left--
			r.Opinions[s.seat] = s.opinion.heard(missing, now().Sub(began))
		case <-alarm:
			if missing != "" {
				left = 0
				continue
			}
			stop(fmt.Sprintf("no answer within %s", budget))
		case <-off:
			stop("the diagnosis was called off")
		}
	}
	for i, d := range c.Seats {
		if r.Opinions[i].Diagnoser == "" {
			r.Opinions[i] = Opinion{Diagnoser: d.Name(), Problem: missing, Attempts: 1, Latency: now().Sub(began)}
		}
	}
	r.Result = Merge(r.Opinions, least)
	return r
}

// said is what somebody at the table has said.
type said struct {
	seat    int
	opinion Opinion
}

// lastWords is the part of the budget, as its divisor, that those have who are late.
const lastWords = 16

// ask has one diagnoser explain. It may panic.
func ask(ctx context.Context, d Diagnoser, e Evidence) (o Opinion) {
	defer func() {
		if v := recover(); v != nil {
			o = Opinion{Diagnoser: d.Name(), Problem: "the diagnoser failed: " + Inert(fmt.Sprint(v), maxText)}
		}
	}()
	return d.Diagnose(ctx, copyOf(&e))
}

// heard is an opinion as it is kept. Of one that comes too late the answer does not
// count; what was sent, and what it took, does.
func (o Opinion) heard(missing string, after time.Duration) Opinion {
	if o.Latency == 0 {
		o.Latency = after
	}
	if missing != "" {
		if o.Answer = nil; o.Problem == "" {
			o.Problem = missing
		}
	}
	return o
}

// copyOf is evidence that a diagnoser may keep or spoil.
func copyOf(e *Evidence) *Evidence {
	c := *e
	c.Facts, c.Actions = slices.Clone(e.Facts), slices.Clone(e.Actions)
	return &c
}
