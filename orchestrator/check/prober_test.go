package check

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// prober has targets of these names, asked every ten seconds from second 1.
func prober(t *testing.T, ask func(context.Context, *target) string, names ...string) *Prober {
	t.Helper()
	p := &Prober{log: quiet(), ask: ask, delay: func(time.Duration) time.Duration { return time.Second }}
	for _, name := range names {
		p.targets = append(p.targets, &target{
			name: name, interval: 10 * time.Second, timeout: 2 * time.Second, onlyIdle: name == policy.UpstreamTarget,
		})
	}
	return p
}

// run lets the prober run for a while of the bubble's own time.
func run(p *Prober, d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_ = p.Run(ctx)
}

func TestTargetsAreAskedAtTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := prober(t, func(context.Context, *target) string {
			time.Sleep(50 * time.Millisecond)
			return ""
		}, "db")
		run(p, 32*time.Second)
		results := p.Drain()
		if len(results) != 4 {
			t.Fatalf("%d results: %+v", len(results), results)
		}
		for i, r := range results {
			want := begin.Add(time.Duration(10*i)*time.Second + 1050*time.Millisecond)
			if !r.OK || r.Target != "db" || r.Reason != "" || r.LatencyMS != 50 || !r.Time.Equal(want) {
				t.Errorf("result %d is %+v, want one at %v", i, r, want)
			}
		}
		if again := p.Drain(); len(again) != 0 {
			t.Errorf("drained twice: %+v", again)
		}
	})
}

func TestASlowTargetDelaysNoOtherAndIsAskedOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asking := map[string]int{}
		p := prober(t, func(_ context.Context, t *target) string {
			asking[t.name]++ // the bubble's goroutines take turns: each name is one's own
			defer func() { asking[t.name]-- }()
			if asking[t.name] > 1 {
				return "asked twice at a time"
			}
			if t.name == "slow" {
				time.Sleep(15 * time.Second)
				return "timed out"
			}
			return ""
		}, "slow")
		fast := prober(t, func(context.Context, *target) string { return "" }, "fast")
		done := make(chan struct{})
		go func() { run(fast, 42*time.Second); close(done) }()
		run(p, 42*time.Second)
		<-done
		slow := p.Drain()
		// At 1 s until 16 s, and at 21 s until 36 s: the times between are left out.
		if len(slow) != 2 || slow[0].OK || slow[0].Reason != "timed out" || slow[1].Time.Sub(slow[0].Time) != 20*time.Second {
			t.Errorf("the slow target gave %+v", slow)
		}
		if n := len(fast.Drain()); n != 5 {
			t.Errorf("the fast target gave %d results, want 5", n)
		}
	})
}

func TestTheUpstreamIsAskedOnlyWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prober(t, func(context.Context, *target) string { return "" }, policy.UpstreamTarget, "db")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		upstream := func() (n int) {
			for _, r := range p.Drain() {
				if r.Target == policy.UpstreamTarget {
					n++
				}
			}
			return n
		}
		time.Sleep(25 * time.Second)
		if n := upstream(); n != 0 {
			t.Errorf("asked %d times before anybody said there is no traffic", n)
		}
		p.SetIdle(true)
		time.Sleep(20 * time.Second)
		if n := upstream(); n != 2 {
			t.Errorf("asked %d times in 20 s without traffic, want 2", n)
		}
		p.SetIdle(false)
		time.Sleep(20 * time.Second)
		if n := upstream(); n != 0 {
			t.Errorf("asked %d times with traffic", n)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAPanicSaysNothingOfTheTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		times := 0
		p := prober(t, func(context.Context, *target) string {
			if times++; times == 1 {
				panic("a fault of ours")
			}
			return ""
		}, "db")
		p.log = slog.New(slog.NewTextHandler(&log, nil))
		run(p, 12*time.Second)
		if r := p.Drain(); len(r) != 1 || !r[0].OK {
			t.Errorf("results %+v", r)
		}
		if !strings.Contains(log.String(), "a fault of ours") || !strings.Contains(log.String(), "target=db") {
			t.Errorf("logged %q", log.String())
		}
	})
}

func TestTheEndBreaksACheckOffWithoutAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := prober(t, func(ctx context.Context, _ *target) string {
			<-ctx.Done()
			return "broken off"
		}, "db")
		run(p, 5*time.Second)
		if r := p.Drain(); len(r) != 0 {
			t.Errorf("results %+v", r)
		}
	})
}

func TestResultsAreBounded(t *testing.T) {
	p := prober(t, nil)
	for i := range maxPending + 3 {
		p.keep(policy.CheckResult{Target: fmt.Sprint(i)})
	}
	r := p.Drain()
	if len(r) != maxPending || r[0].Target != "3" {
		t.Errorf("%d results from %s on", len(r), r[0].Target)
	}
}

func TestNewFindsWhatCannotBeAsked(t *testing.T) {
	good := policy.UpstreamCheck{Enabled: true, Path: "/", IntervalSeconds: 5, TimeoutSeconds: 2}
	for _, c := range []struct {
		want string
		cfg  Config
	}{
		{`the check "db" has an unusable URL`, Config{Checks: []policy.Check{{Name: "db", URL: "db:5432", IntervalSeconds: 1, TimeoutSeconds: 1}}}},
		{`the check "db" has an unusable URL`, Config{Checks: []policy.Check{{Name: "db", URL: "ftp://db", IntervalSeconds: 1, TimeoutSeconds: 1}}}},
		{"interval and a timeout", Config{Checks: []policy.Check{{Name: "db", URL: "http://db"}}}},
		{"must be http, https or unix", Config{Upstream: Upstream{URL: "ws://a"}, UpstreamCheck: good}},
		{"has no host", Config{Upstream: Upstream{URL: "http://"}, UpstreamCheck: good}},
		{"cannot read the upstream's CA file", Config{Upstream: Upstream{URL: "https://a", CAFile: "/nowhere"}, UpstreamCheck: good}},
		{"holds no PEM certificate", Config{Upstream: Upstream{URL: "https://a", CAFile: "doc.go"}, UpstreamCheck: good}},
	} {
		if _, err := New(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
	if _, err := New(Config{}); err != nil {
		t.Errorf("nothing to ask: %v", err)
	}
}
