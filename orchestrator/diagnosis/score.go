package diagnosis

import (
	"fmt"
	"slices"
	"strings"
)

// Case is one incident that has ended, with what was said of it.
type Case struct {
	Record Record
	// Truth is the cause that a person has named; empty when nobody has.
	Truth Cause
	// Trusted is the diagnoser whose theory the approver trusted; empty when the
	// approver did not say.
	Trusted string
	// Resolved says that what was executed helped, Action what that was.
	Resolved bool
	Action   string
}

// Standing is how one diagnoser has done, with one model.
type Standing struct {
	Diagnoser string `json:"diagnoser"`
	Model     string `json:"model,omitempty"`
	// Asked is how often it was asked, Answered how often it named a cause.
	Asked    int `json:"asked"`
	Answered int `json:"answered"`
	// Judged of its answers could be compared with what a person said it was, and
	// Right of those were right.
	Judged int `json:"judged"`
	Right  int `json:"right"`
	// Withheld had too little confidence to be told, of those that were Right or not.
	Withheld int `json:"withheld"`
	// Trusted is how often the approver trusted it in a dissent, TrustedRight how
	// often it was right then.
	Trusted      int `json:"trusted"`
	TrustedRight int `json:"trusted_right"`
	// Helped is how often the action that it suggested was executed and helped.
	Helped int `json:"helped"`
	// Brier is the mean of (confidence − 1 for right, 0 for wrong)² over what was
	// judged: 0 is best, 0.25 is as good as always saying a half.
	Brier float64 `json:"brier"`
	Cost  Cost    `json:"cost"`
}

// Score says who was right over time, by name. It is pure.
func Score(cases []Case) []Standing {
	type key struct{ diagnoser, model string }
	standings := map[key]*Standing{}
	for i := range cases {
		c := &cases[i]
		for j := range c.Record.Opinions {
			o := &c.Record.Opinions[j]
			k := key{o.Diagnoser, o.Model}
			if standings[k] == nil {
				standings[k] = &Standing{Diagnoser: o.Diagnoser, Model: o.Model}
			}
			standings[k].take(c, o)
		}
	}
	var all []Standing
	for _, s := range standings {
		if s.Judged > 0 {
			s.Brier = round(s.Brier / float64(s.Judged))
		}
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Standing) int {
		if c := strings.Compare(a.Diagnoser, b.Diagnoser); c != 0 {
			return c
		}
		return strings.Compare(a.Model, b.Model)
	})
	return all
}

func (s *Standing) take(c *Case, o *Opinion) {
	s.Asked++
	s.Cost = s.Cost.plus(o.Cost)
	if o.Answer.Abstained() {
		return
	}
	a := o.Answer
	s.Answered++
	if a.Confidence < MinConfidence {
		s.Withheld++
	}
	trusted := c.Record.Outcome == Dissent && c.Trusted == o.Diagnoser
	if trusted {
		s.Trusted++
	}
	if c.Resolved && a.Action != "" && a.Action == c.Action {
		s.Helped++
	}
	if !c.Truth.Valid() || c.Truth == Unknown {
		return
	}
	s.Judged++
	right := 0.0
	if a.Cause == c.Truth {
		right = 1
		s.Right++
		if trusted {
			s.TrustedRight++
		}
	}
	s.Brier += (a.Confidence - right) * (a.Confidence - right)
}

// ScoreText is the standings as a table.
func ScoreText(standings []Standing) string {
	if len(standings) == 0 {
		return "No diagnosis is on record yet.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %6s %9s %7s %7s %6s %8s %7s\n", "diagnoser", "asked", "answered", "judged", "right", "brier", "trusted", "helped")
	for _, s := range standings {
		name := s.Diagnoser
		if s.Model != "" {
			name += " " + s.Model
		}
		right, brier := "-", "-"
		if s.Judged > 0 {
			right, brier = percent(float64(s.Right)/float64(s.Judged)), figure(s.Brier)
		}
		fmt.Fprintf(&b, "%-32s %6d %9d %7d %7s %6s %8d %7d\n", clip(name, 32), s.Asked, s.Answered, s.Judged, right, brier, s.Trusted, s.Helped)
	}
	return b.String()
}
