package diagnosis

import (
	"testing"
	"time"
)

func TestScore(t *testing.T) {
	record := func(a, b Cause) Record {
		r := Record{Opinions: []Opinion{answered("rules", a, 0.9, "F1"), answered("anthropic", b, 0.6, "F1")}}
		r.Opinions[1].Model, r.Opinions[1].Cost, r.Opinions[1].Answer.Action = "m", Cost{10, 2, 5}, "restart"
		r.Result = Merge(r.Opinions, MinConfidence)
		return r
	}
	got := Score([]Case{
		{Record: record(Network, Network), Truth: Network},
		{Record: record(Network, Certificate), Truth: Certificate, Trusted: "anthropic", Resolved: true, Action: "restart"},
		{Record: record(Network, Certificate), Truth: Network, Trusted: "anthropic"},
		{Record: record(Unknown, Certificate), Truth: Network},
		{Record: record(Network, Certificate)},
	})
	want := []Standing{
		{Diagnoser: "anthropic", Model: "m", Asked: 5, Answered: 5, Judged: 4, Right: 2, Trusted: 2, TrustedRight: 1, Helped: 1, Brier: 0.26, Cost: Cost{50, 10, 25}},
		{Diagnoser: "rules", Asked: 5, Answered: 4, Judged: 3, Right: 2, Brier: 0.2767},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if text := ScoreText(nil); text != "No diagnosis is on record yet.\n" {
		t.Error(text)
	}
}

func TestMemoryFindsWhatWasAlike(t *testing.T) {
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	m := Memory{
		{IncidentID: "INC-1", Signature: "slow; all routes", StartedAt: at, EndedAt: at.Add(10 * time.Minute), Stage: "RESOLVED", Action: "restart", Cause: SlowDependency, Confirmed: true},
		{IncidentID: "INC-2", Signature: "failing", StartedAt: at.Add(time.Hour), Stage: "RECOVERED"},
		{IncidentID: "INC-3", Signature: "slow; all routes", StartedAt: at.Add(2 * time.Hour), Stage: "RECOVERED"},
		{IncidentID: "INC-4", Signature: "slow; all routes", StartedAt: at.Add(3 * time.Hour), Stage: "DETECTED"},
	}
	like := m.Like("slow; all routes", "INC-4")
	if len(like) != 2 || like[0].IncidentID != "INC-3" || like[1].IncidentID != "INC-1" {
		t.Errorf("%+v", like)
	}
	if got := like[1].ending(); got != "ended RESOLVED after 10 min, having run restart, cause slow_dependency as a person confirmed" {
		t.Error(got)
	}
	if len(m.Like("", "INC-4")) != 0 {
		t.Error("nothing is like everything")
	}
}
