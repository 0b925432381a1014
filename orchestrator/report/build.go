package report

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// Build makes the report of entries, which are all of the ledger's from its
// first on, in order: what was so at the begin of the period is told by what
// came before it. Of what came after it only the verdicts count that people gave
// on the period's incidents. An error of entries ends it.
//
// What is kept of the entries is what the report lists, and of every incident
// in the period a few words.
func Build(entries iter.Seq2[incident.Indexed, error], o Options) (Report, error) {
	if o.To.IsZero() || o.To.After(o.At) {
		o.To = o.At
	}
	if !o.From.IsZero() && !o.From.Before(o.To) {
		return Report{}, fmt.Errorf("a report from %s to %s has no period: its end must come after its begin", stamp(o.From), stamp(o.To))
	}
	b := newBuilder(o)
	for e, err := range entries {
		if err != nil {
			return Report{}, fmt.Errorf("the ledger's entries cannot be read to their end: %w", err)
		}
		b.take(e.Index, e.Entry)
	}
	return b.finish(), nil
}

// builder is a report on its way.
type builder struct {
	o Options
	r Report

	begun bool // an entry of the tenant's was seen

	mode            ShadowPeriod  // in force, since its From
	known, shadowed time.Duration // of the period, so far

	cases  *cases
	denied map[string]uint64
	target map[string]*Target
}

func newBuilder(o Options) *builder {
	return &builder{
		o: o, mode: ShadowPeriod{Shadow: true}, cases: newCases(o),
		denied: map[string]uint64{}, target: map[string]*Target{},
		r: Report{
			Tenant: o.Tenant, At: o.At.UTC(), Services: []string{}, Targets: []Target{}, Denied: []Denied{},
			Shadow: Shadow{Periods: []ShadowPeriod{}}, Policies: Policies{List: []PolicyInForce{}},
			Effects: Effects{ByEvent: map[string]int{}, Notices: []Notice{}},
		},
	}
}

// take takes in one entry.
func (b *builder) take(index uint64, e incident.Entry) {
	if !e.Time.Before(b.o.To) {
		if e.Kind == incident.KindMarked && e.TenantID == b.o.Tenant {
			b.cases.take(index, e)
		}
		return
	}
	if e.Kind == incident.KindPolicyLoaded { // it counts for every tenant
		b.policy(index, e)
	}
	if e.TenantID != b.o.Tenant {
		return
	}
	if !b.begun {
		b.begun = true
		if b.o.From.IsZero() {
			b.o.From = e.Time
		}
		b.mode.From = e.Time
	}
	within := !e.Time.Before(b.o.From)
	if within {
		if b.r.Period.Entries++; b.r.Period.Entries == 1 {
			b.r.Period.First = index
		}
		b.r.Period.Last = index
		if !slices.Contains(b.r.Services, e.Service) && len(b.r.Services) < MaxTargets {
			b.r.Services = append(b.r.Services, e.Service)
		}
	}
	b.cases.take(index, e)
	switch e.Kind {
	case incident.KindShadowOn, incident.KindShadowOff:
		b.switched(index, e)
		return
	}
	if !within {
		return
	}
	switch e.Kind {
	case incident.KindEffectSuppressed:
		b.suppressed(index, e)
	case incident.KindEffectDue:
		b.r.Effects.Due++
	case incident.KindTargetDown, incident.KindTargetFlapping:
		b.changed(e)
	case incident.KindAccessDenied:
		what := cmp.Or(text(e, "what"), "unknown")
		if _, known := b.denied[what]; !known && len(b.denied) >= MaxTargets {
			what = "others"
		}
		b.denied[what] += count(e)
	}
}

// endMode ends the mode that is in force. What of it lies in the period is kept,
// the latest parts in full.
func (b *builder) endMode(at time.Time) {
	m := b.mode
	m.To = at
	if m.From.Before(b.o.From) {
		m.From = b.o.From
	}
	if !m.From.Before(m.To) {
		return
	}
	lasted := m.To.Sub(m.From)
	b.known += lasted
	if m.Shadow {
		b.shadowed += lasted
	}
	b.r.Shadow.Periods = append(b.r.Shadow.Periods, m)
	if len(b.r.Shadow.Periods) > MaxPeriods {
		b.r.Shadow.Periods = b.r.Shadow.Periods[1:]
		b.r.Shadow.LeftOut++
	}
}

// switched begins the other mode.
func (b *builder) switched(index uint64, e incident.Entry) {
	b.endMode(e.Time)
	b.mode = ShadowPeriod{
		Shadow: e.Kind == incident.KindShadowOn, From: e.Time,
		Who: strings.TrimPrefix(e.Actor, "human:"), Why: e.Reason, Entry: &index,
	}
}

// policy puts another policy in force.
func (b *builder) policy(index uint64, e incident.Entry) {
	p := &b.r.Policies
	if n := len(p.List); n > 0 {
		p.List[n-1].To = e.Time
	}
	unversioned, _ := e.Metadata["unversioned_change"].(bool)
	p.List = append(p.List, PolicyInForce{
		Version: e.PolicyVersion, Digest: e.PolicyDigest, From: e.Time, Entry: index, Unversioned: unversioned,
	})
	switch {
	case !e.Time.After(b.o.From): // those before were over when the period began
		p.List = p.List[len(p.List)-1:]
	case unversioned:
		p.Unversioned++
	}
	if len(p.List) > MaxPeriods {
		p.List = p.List[1:]
		p.LeftOut++
	}
}

func (b *builder) suppressed(index uint64, e incident.Entry) {
	x := &b.r.Effects
	action, event := text(e, "suppressed_action"), text(e, "event")
	switch action {
	case "notification":
		x.Notifications++
		if _, known := x.ByEvent[event]; !known && len(x.ByEvent) >= MaxTargets {
			event = "others"
		}
		x.ByEvent[event]++
	case "approval_link":
		x.Links++
	case "execution":
		x.Executions++
	default:
		x.Other++
	}
	x.Notices = append(x.Notices, Notice{
		Time: e.Time, Action: action, Event: text(e, "event"), IncidentID: e.IncidentID, Text: text(e, "text"), Entry: index,
	})
	if len(x.Notices) > MaxNotices {
		x.Notices = x.Notices[1:]
		x.LeftOut++
	}
}

func (b *builder) changed(e incident.Entry) {
	name := text(e, "target")
	t := b.target[name]
	if t == nil {
		if len(b.target) >= MaxTargets {
			name = "others"
		}
		if t = b.target[name]; t == nil {
			t = &Target{Name: name}
			b.target[name] = t
		}
	}
	if e.Kind == incident.KindTargetDown {
		t.Downs++
	} else {
		t.Flapping++
	}
}

// finish ends what is still going on with the period.
func (b *builder) finish() Report {
	r := &b.r
	if b.o.From.IsZero() {
		b.o.From = b.o.To // nothing is known, of no time
	}
	r.Period.From, r.Period.To = b.o.From.UTC(), b.o.To.UTC()
	r.Shadow.Now = b.mode.Shadow
	if b.begun {
		b.endMode(b.o.To)
	}
	if b.known > 0 {
		share := b.shadowed.Seconds() / b.known.Seconds()
		r.Shadow.Share = &share
	}
	if n := len(r.Policies.List); n > 0 {
		r.Policies.List[n-1].To = b.o.To
	}
	for _, what := range slices.Sorted(maps.Keys(b.denied)) {
		r.Denied = append(r.Denied, Denied{What: what, Count: b.denied[what]})
	}
	for _, name := range slices.Sorted(maps.Keys(b.target)) {
		r.Targets = append(r.Targets, *b.target[name])
	}
	slices.Reverse(r.Effects.Notices)
	r.Incidents = b.cases.finish()
	r.Ledger = Ledger{
		Origin: b.o.Head.Origin, Size: b.o.Head.Size,
		Root: base64.StdEncoding.EncodeToString(b.o.Head.Root[:]), VerifyCommand: b.o.VerifyCommand,
	}
	return *r
}

func text(e incident.Entry, name string) string {
	s, _ := e.Metadata[name].(string)
	return s
}

// count is how many times an entry stands for, at least once. What comes out of
// JSON is a float64.
func count(e incident.Entry) uint64 {
	const most = 1e12 // so that no ledger makes a sum overflow
	switch v := e.Metadata["count"].(type) {
	case float64:
		return uint64(max(1, min(v, most)))
	case int:
		return uint64(max(1, min(v, most)))
	}
	return 1
}
