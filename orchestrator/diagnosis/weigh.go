package diagnosis

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Rules is the diagnoser that needs nothing: no key, no network. It looks at the
// evidence alone, and gives the same answer for the same evidence.
type Rules struct{}

// Name implements [Diagnoser].
func (Rules) Name() string { return "rules" }

// Diagnose implements [Diagnoser]. It never fails.
func (Rules) Diagnose(_ context.Context, e *Evidence) Opinion {
	return Opinion{Diagnoser: "rules", Answer: ptr(Judge(e)), Attempts: 1}
}

// How sure the rules are: by how much speaks for the strongest cause, and how far
// the next is behind it. A confidence is the share of the incidents of the corpus,
// of those that were judged as clearly, in which the cause named was right; what
// is below the last line is not told as a cause.
var bands = []struct{ strength, lead, confidence float64 }{
	{0.8, 0.2, 0.95},
	{0.7, 0.15, 0.85},
	{0.6, 0.1, 0.7},
}

// Judge is the rules' answer. It is pure.
func Judge(e *Evidence) Answer {
	all := weighAll(e)
	a := Answer{Cause: Unknown, CheckFirst: Unknown.CheckFirst(), Facts: []string{}}
	for _, w := range all[:min(len(all), 4)] {
		a.Others = append(a.Others, Candidate{w.cause, round(w.strength)})
	}
	if len(all) == 0 {
		a.Hypothesis = Unknown.What()
		return a
	}
	best, lead := all[0], all[0].strength
	if len(all) > 1 {
		lead = best.strength - all[1].strength
	}
	for _, b := range bands {
		if best.strength >= b.strength && lead >= b.lead {
			a.Cause, a.Confidence = best.cause, b.confidence
			break
		}
	}
	a.Findings = best.findings
	a.Facts = cited(best.findings)
	if a.Cause == Unknown {
		a.Confidence = 0
		a.Hypothesis = undecided(all)
		return a
	}
	a.Others = a.Others[1:]
	a.CheckFirst = a.Cause.CheckFirst()
	a.Hypothesis = hypothesis(a.Cause, best.findings)
	return a
}

// weighAll gives each cause that anything speaks for, the strongest first. Of
// several rules of a cause the strongest counts.
func weighAll(e *Evidence) []weighed {
	best := map[Cause]weighed{}
	for i := range rules {
		w := rules[i].weigh(e)
		if w.strength > best[w.cause].strength {
			best[w.cause] = w
		}
	}
	var all []weighed
	for _, c := range Causes() {
		if w := best[c]; w.strength > 0 {
			all = append(all, w)
		}
	}
	slices.SortStableFunc(all, func(a, b weighed) int {
		switch {
		case a.strength > b.strength:
			return -1
		case a.strength < b.strength:
			return 1
		}
		return 0
	})
	return all
}

// cited are the ids of the facts of findings, each once.
func cited(findings []Finding) []string {
	ids := []string{}
	for _, f := range findings {
		for _, id := range f.Facts {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// hypothesis is the cause in a sentence, and what it rests on.
func hypothesis(c Cause, findings []Finding) string {
	var b strings.Builder
	b.WriteString(c.What())
	for i, f := range findings {
		if i == 0 {
			b.WriteString(" The figures: ")
		} else {
			b.WriteString("; ")
		}
		b.WriteString(f.Text)
		if len(f.Facts) > 0 {
			b.WriteString(" (" + strings.Join(f.Facts, ", ") + ")")
		}
	}
	if len(findings) > 0 {
		b.WriteByte('.')
	}
	return b.String()
}

// undecided says which causes nothing decides between.
func undecided(all []weighed) string {
	if len(all) < 2 || all[1].strength < 0.3 {
		return fmt.Sprintf("%s Most speaks for %s, but too little.", Unknown.What(), all[0].cause)
	}
	return fmt.Sprintf("%s Both %s and %s fit: if it is the first, expect %s; if the second, %s.",
		Unknown.What(), all[0].cause, all[1].cause, all[0].cause.Tell(), all[1].cause.Tell())
}

// weighed is one cause with all that speaks for it.
type weighed struct {
	cause    Cause
	strength float64
	findings []Finding
}

// weigh applies a rule; the strength is 0 when it does not apply.
func (r *rule) weigh(e *Evidence) weighed {
	w := weighed{cause: r.cause, strength: r.base}
	for _, c := range r.needs {
		says, facts := c(e)
		if says == "" {
			return weighed{cause: r.cause}
		}
		w.find(says, facts)
	}
	for _, h := range r.hints {
		says, facts := h.clue(e)
		if says == "" {
			continue
		}
		w.strength += h.weight
		if h.weight > 0 {
			w.find(says, facts)
		} else {
			w.find("against it: "+says, facts)
		}
	}
	for _, m := range r.most {
		if says, facts := m.clue(e); says != "" && w.strength > m.weight {
			w.strength = m.weight
			w.find("against it: "+says, facts)
		}
	}
	w.strength = min(max(w.strength, 0), 1)
	return w
}

func (w *weighed) find(says string, facts []*Fact) {
	if says == "" {
		return
	}
	f := Finding{Text: says, Facts: []string{}}
	for _, one := range facts {
		f.Facts = append(f.Facts, one.ID)
	}
	w.findings = append(w.findings, f)
}
