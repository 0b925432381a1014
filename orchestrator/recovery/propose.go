package recovery

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/strictyaml"
)

// CauseRetryStorm is the cause that [Propose] finds by itself.
const CauseRetryStorm = "retry_storm"

// When load is a retry storm: more is offered than usual, and much less than
// usual is served. Both are shares of the baseline.
const (
	stormOffered = 1.2
	stormGoodput = 0.7
)

// Load is how much is asked of the service and how much it serves, in requests
// per second.
type Load struct {
	// Offered counts all requests that arrive, Goodput those that are answered
	// without an error and in time.
	Offered, Goodput float64
	// Baseline is what is usually offered, and served.
	Baseline float64
}

// Storm says whether this looks like a retry storm: clients that try again keep
// the service from serving anybody, and a restart would only make room for more
// of them.
func (l Load) Storm() bool {
	for _, v := range []float64{l.Offered, l.Goodput, l.Baseline} {
		if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
			return false
		}
	}
	return l.Baseline > 0 && l.Offered >= float64(stormOffered*l.Baseline) && l.Goodput <= float64(stormGoodput*l.Baseline)
}

// Facts are what is known when an action is looked for.
type Facts struct {
	Tenant string
	// Own says whether the tenant is the sidecar's own.
	Own bool
	At  time.Time
	// Gates are those that breach, such as "z_score", with or without what comes
	// after a slash or colon.
	Gates []string
	// Causes are what was found likely, such as "deployment".
	Causes []string
	// Load is nil when it is not known.
	Load *Load
}

// Run is an action that was run for the tenant.
type Run struct {
	Action string
	At     time.Time
}

// Proposal is the action that is proposed.
type Proposal struct {
	Action Action
	Digest string
	// Storm says that it is proposed because of a retry storm.
	Storm bool
	// Because says in plain words what speaks for it; it begins with a small letter and
	// has no full stop.
	Because string
}

// Propose finds the action to propose: the first of the catalogue that a gate
// and a cause speak for, and that was not run too recently. In a retry storm
// what sheds load comes before everything else. The sentence says why it is
// that action, or why there is none; it begins with a small letter and has no
// full stop. It is pure.
func Propose(c Catalogue, f Facts, history []Run) (*Proposal, string) {
	storm := f.Load != nil && f.Load.Storm()
	var fit []candidate
	for _, a := range c.For(f.Tenant, f.Own) {
		if storm && a.Shed {
			fit = append(fit, candidate{action: a, why: f.Load.why(), because: f.Load.why(), storm: true})
		} else if why, because, ok := f.speakFor(a, storm); ok {
			fit = append(fit, candidate{action: a, why: why, because: because})
		}
	}
	// Stable: within each group the order of the catalogue stays.
	slices.SortStableFunc(fit, func(x, y candidate) int { return rank(x) - rank(y) })

	var cooling []string
	for _, one := range fit {
		if since, ok := coolingSince(one.action, f.At, history); ok {
			cooling = append(cooling, fmt.Sprintf("%s was run %s ago and is not proposed again within %s", one.action.Name, brief(since), brief(one.action.CoolDown)))
			continue
		}
		why := one.action.Name + " is proposed: " + one.why
		if storm && !one.storm {
			why += "; this looks like a retry storm, and no action that sheds load can be proposed"
		}
		return &Proposal{Action: one.action, Digest: one.action.Digest(), Storm: one.storm, Because: one.because}, strings.Join(append([]string{why}, cooling...), "; ")
	}
	if len(cooling) > 0 {
		return nil, "no action is proposed: " + strings.Join(cooling, "; ")
	}
	return nil, f.none(c)
}

// candidate is an action that fits, and why it does, in the configuration's words and
// in plain ones.
type candidate struct {
	action       Action
	why, because string
	storm        bool
}

func rank(c candidate) int {
	if c.storm {
		return 0
	}
	return 1
}

func (l Load) why() string {
	return fmt.Sprintf("this looks like a retry storm: %.3g requests a second are offered where %.3g are usual, and %.3g served", l.Offered, l.Baseline, l.Goodput)
}

// speakFor says whether the gates and causes propose the action: one of each
// kind that the action names.
func (f Facts) speakFor(a Action, storm bool) (why, because string, ok bool) {
	var reasons, words []string
	if len(a.Gates) > 0 {
		gate, key, ok := anyGate(a.Gates, f.Gates)
		if !ok {
			return "", "", false
		}
		reasons, words = append(reasons, "the gate "+gate+" breaches"), append(words, inWords(key))
	}
	if len(a.Causes) > 0 {
		causes := f.Causes
		if storm {
			causes = append(slices.Clone(causes), CauseRetryStorm)
		}
		i := slices.IndexFunc(causes, func(cause string) bool { return slices.Contains(a.Causes, cause) })
		if i < 0 {
			return "", "", false
		}
		reasons, words = append(reasons, "the likely cause is "+causes[i]), append(words, causeInWords(causes[i]))
	}
	return strings.Join(reasons, " and "), strings.Join(words, ", and "), len(reasons) > 0
}

// anyGate is the first gate that breaches and is wanted, and the key of its breach.
func anyGate(wanted, breaching []string) (gate, key string, ok bool) {
	for _, key := range breaching {
		gate := key
		if i := strings.IndexAny(gate, "/:"); i >= 0 {
			gate = gate[:i]
		}
		if slices.Contains(wanted, gate) || slices.Contains(wanted, anyOf) {
			return gate, key, true
		}
	}
	return "", "", false
}

// coolingSince says how long ago the action was run, when that is less than its
// cool-down. A time in the future is now: clocks are set back.
func coolingSince(a Action, at time.Time, history []Run) (time.Duration, bool) {
	last, found := time.Time{}, false
	for _, run := range history {
		if run.Action == a.Name && (!found || run.At.After(last)) {
			last, found = run.At, true
		}
	}
	since := max(0, at.Sub(last))
	return since, found && since < a.CoolDown
}

// none says why no action fits.
func (f Facts) none(c Catalogue) string {
	if len(c.For(f.Tenant, f.Own)) == 0 {
		return "no action is configured: tell a person"
	}
	what := "no gate breaches"
	if len(f.Gates) > 0 {
		what = "the gates " + strings.Join(f.Gates, ", ") + " breach"
	}
	if len(f.Causes) > 0 {
		what += " and the likely causes are " + strings.Join(f.Causes, ", ")
	}
	return "no configured action is for this (" + plain.Line(what, maxValue) + "): tell a person"
}

// brief writes a duration to the second.
func brief(d time.Duration) string { return strictyaml.Duration(d.Round(time.Second)) }
