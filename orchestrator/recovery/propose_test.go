package recovery

import (
	"math"
	"strings"
	"testing"
	"time"
)

func named(name string, change func(*Action)) Action {
	a := newAction()
	a.Name = name
	change(&a)
	return a
}

func TestPropose(t *testing.T) {
	rollBack := named("roll-back", func(a *Action) { a.Gates, a.Causes = []string{"absolute_threshold", "z_score"}, []string{"deployment"} })
	restart := named("restart", func(a *Action) { a.Gates = []string{"absolute_threshold", "consecutive_failures"} })
	shed := named("shed", func(a *Action) { a.Shed = true })
	flagOff := named("flag-off", func(a *Action) { a.Causes = []string{"flag"} })
	pageOnly := named("page", func(a *Action) { a.Gates = []string{"*"} })
	theirs := named("theirs", func(a *Action) { a.Gates, a.Tenant = []string{"*"}, "payments" })
	storm := &Load{Offered: 300, Goodput: 20, Baseline: 100}
	calm := &Load{Offered: 100, Goodput: 98, Baseline: 100}
	ago := func(name string, d time.Duration) Run { return Run{name, authorizedAt.Add(-d)} }
	all := Catalogue{rollBack, restart, shed, flagOff}

	for _, c := range []struct {
		name      string
		catalogue Catalogue
		facts     Facts
		history   []Run
		want, why string
	}{
		{"no catalogue", nil, Facts{Own: true, Gates: []string{"z_score"}}, nil, "", "no action is configured: tell a person"},
		{"by gate", all, Facts{Own: true, Gates: []string{"absolute_threshold"}}, nil, "restart", "restart is proposed: the gate absolute_threshold breaches"},
		{"by the key of a breach", all, Facts{Own: true, Gates: []string{"consecutive_failures:upstream"}}, nil, "restart", ""},
		{"by the kind of a breach", all, Facts{Own: true, Gates: []string{"absolute_threshold/latency_spike"}}, nil, "restart", ""},
		{"gate and cause", all, Facts{Own: true, Gates: []string{"absolute_threshold"}, Causes: []string{"deployment"}}, nil, "roll-back",
			"roll-back is proposed: the gate absolute_threshold breaches and the likely cause is deployment"},
		{"the cause without its gate", all, Facts{Own: true, Gates: []string{"burn_rate"}, Causes: []string{"deployment"}}, nil, "",
			"no configured action is for this (the gates burn_rate breach and the likely causes are deployment): tell a person"},
		{"cause alone", all, Facts{Own: true, Gates: []string{"burn_rate"}, Causes: []string{"flag"}}, nil, "flag-off", ""},
		{"the order of the catalogue", Catalogue{restart, rollBack}, Facts{Own: true, Gates: []string{"absolute_threshold"}, Causes: []string{"deployment"}}, nil, "restart", ""},
		{"any gate", Catalogue{pageOnly}, Facts{Own: true, Gates: []string{"reported"}}, nil, "page", ""},
		{"any gate, none breaches", Catalogue{pageOnly}, Facts{Own: true}, nil, "", "no configured action is for this (no gate breaches): tell a person"},
		{"another tenant's action", Catalogue{theirs}, Facts{Tenant: "acme", Own: true, Gates: []string{"z_score"}}, nil, "", "no action is configured: tell a person"},
		{"its own tenant", Catalogue{restart, theirs}, Facts{Tenant: "payments", Gates: []string{"absolute_threshold"}}, nil, "theirs", ""},
		{"the own action for another tenant", Catalogue{restart}, Facts{Tenant: "payments", Gates: []string{"absolute_threshold"}}, nil, "", ""},
		{"nobody's", Catalogue{restart}, Facts{Gates: []string{"absolute_threshold"}}, nil, "", ""},

		{"cooling", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("restart", 3*time.Minute)}, "",
			"no action is proposed: restart was run 3m ago and is not proposed again within 30m"},
		{"cooling, the next", Catalogue{restart, pageOnly}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("restart", 3*time.Minute)}, "page",
			"page is proposed: the gate absolute_threshold breaches; restart was run 3m ago and is not proposed again within 30m"},
		{"just cooling", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("restart", 30*time.Minute-1)}, "", ""},
		{"cooled down", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("restart", 30*time.Minute)}, "restart", ""},
		{"the latest run counts", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("restart", time.Minute), ago("restart", time.Hour)}, "", ""},
		{"another's run", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("page", time.Minute)}, "restart", ""},
		{"run in the future", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}}, []Run{ago("restart", -time.Hour)}, "", "no action is proposed: restart was run 0s ago and is not proposed again within 30m"},

		{"a retry storm", all, Facts{Own: true, Gates: []string{"absolute_threshold"}, Load: storm}, nil, "shed",
			"shed is proposed: this looks like a retry storm: 300 requests a second are offered where 100 are usual, and 20 served"},
		{"a storm after a deployment", all, Facts{Own: true, Gates: []string{"absolute_threshold"}, Causes: []string{"deployment"}, Load: storm}, nil, "shed", ""},
		{"no storm", all, Facts{Own: true, Gates: []string{"absolute_threshold"}, Load: calm}, nil, "restart", ""},
		{"load unknown", all, Facts{Own: true, Gates: []string{"absolute_threshold"}}, nil, "restart", ""},
		{"a storm, nothing sheds", Catalogue{restart}, Facts{Own: true, Gates: []string{"absolute_threshold"}, Load: storm}, nil, "restart",
			"restart is proposed: the gate absolute_threshold breaches; this looks like a retry storm, and no action that sheds load can be proposed"},
		{"a storm, shedding cools", all, Facts{Own: true, Gates: []string{"absolute_threshold"}, Load: storm}, []Run{ago("shed", time.Minute)}, "restart", ""},
		{"a storm, another tenant's shedding", Catalogue{named("s", func(a *Action) { a.Shed, a.Tenant = true, "payments" }), restart},
			Facts{Own: true, Gates: []string{"absolute_threshold"}, Load: storm}, nil, "restart", ""},
		{"the storm as a cause", Catalogue{named("limit", func(a *Action) { a.Causes = []string{CauseRetryStorm} })}, Facts{Own: true, Load: storm}, nil, "limit", ""},
		{"shedding without a storm", Catalogue{shed}, Facts{Own: true, Gates: []string{"absolute_threshold"}, Load: calm}, nil, "", ""},
	} {
		c.facts.At = authorizedAt
		p, why := Propose(c.catalogue, c.facts, c.history)
		got := ""
		if p != nil {
			got = p.Action.Name
			if p.Digest != p.Action.Digest() || p.Storm != (got == "shed") {
				t.Errorf("%s: %+v", c.name, p)
			}
		}
		if got != c.want || c.why != "" && why != c.why || why == "" || strings.HasSuffix(why, ".") {
			t.Errorf("%s: %q is proposed (%s), want %q (%s)", c.name, got, why, c.want, c.why)
		}
	}
}

func TestBecause(t *testing.T) {
	roll := named("roll-back", func(a *Action) { a.Gates, a.Causes = []string{"*"}, []string{"deployment", CauseRetryStorm} })
	for _, c := range []struct {
		facts Facts
		want  string
	}{
		{Facts{Gates: []string{"absolute_threshold/error_anomaly"}, Causes: []string{"deployment"}}, "more requests fail than the fixed limit allows, and there was a deployment shortly before"},
		{Facts{Gates: []string{"consecutive_failures:db"}, Causes: []string{"deployment"}}, "checks failed several times in a row, and there was a deployment shortly before"},
		{Facts{Gates: []string{"absolute_threshold/new"}, Causes: []string{"deployment"}}, "requests are slower, or fail more often, than a fixed limit allows, and there was a deployment shortly before"},
		{Facts{Gates: []string{"new"}, Load: &Load{Offered: 300, Goodput: 20, Baseline: 100}}, "the gate new breaches, and this looks like a retry storm"},
	} {
		c.facts.Own, c.facts.At = true, authorizedAt
		if p, _ := Propose(Catalogue{roll}, c.facts, nil); p == nil || p.Because != c.want {
			t.Errorf("%+v, want %s", p, c.want)
		}
	}
}

func TestStorm(t *testing.T) {
	for _, c := range []struct {
		load Load
		want bool
	}{
		{Load{120, 70, 100}, true}, {Load{119, 70, 100}, false}, {Load{120, 71, 100}, false},
		{Load{1000, 0, 100}, true}, {Load{100, 0, 100}, false}, {Load{50, 0, 0}, false}, {Load{}, false},
		{Load{math.Inf(1), 0, 100}, false}, {Load{200, math.NaN(), 100}, false}, {Load{200, -1, 100}, false},
	} {
		if got := c.load.Storm(); got != c.want {
			t.Errorf("%+v is a storm: %v", c.load, got)
		}
	}
}

func TestJudge(t *testing.T) {
	a := restart()
	for _, c := range []struct {
		after   time.Duration
		healthy bool
		want    Result
		why     string
	}{
		{0, false, Watching, "restart was run 0s ago and has 5m to have its effect"},
		{5*time.Minute - time.Second, false, Watching, ""},
		{5 * time.Minute, false, Failed, "the service is still not healthy 5m after restart was run"},
		{90 * time.Second, true, Resolved, "the service is healthy again 1m30s after restart was run"},
		{time.Hour, true, Resolved, ""},
		{-time.Hour, false, Watching, ""},
	} {
		got, why := a.Judge(authorizedAt, authorizedAt.Add(c.after), c.healthy)
		if got != c.want || c.why != "" && why != c.why {
			t.Errorf("after %s: %s (%s), want %s", c.after, got, why, c.want)
		}
	}
}
