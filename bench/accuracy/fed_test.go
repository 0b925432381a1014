package main

import (
	"slices"
	"testing"
	"time"
)

func TestExactIsTheValueAtItsRank(t *testing.T) {
	for n, want := range map[int]int64{1: 1, 10: 10, 19: 19, 20: 19, 21: 20, 100: 95, 101: 96, 1000: 950} {
		var all []int64
		for i := range n {
			all = append(all, int64((i*7919)%n)+1) // a permutation of 1 to n: 7919 is a prime beyond all n
		}
		if got := exact(all); got != want {
			t.Errorf("P95 of 1 to %d is %d, want %d", n, got, want)
		}
	}
}

// The truth is that of the measured minute alone, and the same run is drawn again.
func TestARunIsWhatItSays(t *testing.T) {
	for _, d := range distributions {
		r, again := draw(d, 100*time.Millisecond, 3), draw(d, 100*time.Millisecond, 3)
		if !slices.Equal(r.requests, again.requests) || r.truth != again.truth {
			t.Errorf("%s: the same seed drew another run", d.name)
		}
		var measured []int64
		for i, q := range r.requests {
			if in := q.end >= int64(d.history); in != (i >= r.first) {
				t.Fatalf("%s: request %d of %d ends at %d, and the minute begins with request %d", d.name, i, len(r.requests), q.end, r.first)
			}
			if i >= r.first {
				measured = append(measured, q.duration)
			}
		}
		if n := len(measured); n < 60*rate*9/10 || n > 60*rate*11/10 {
			t.Errorf("%s: %d requests in a minute", d.name, n)
		}
		slices.Sort(measured)
		if at := (len(measured)*95 + 99) / 100; measured[at-1] != r.truth {
			t.Errorf("%s: the truth is %d, and rank %d of the minute is %d", d.name, r.truth, at, measured[at-1])
		}
	}
}

// Ours holds the truth in every run; each of the others is as far off as its
// resolution has it, so that they are set up and asked rightly.
func TestToolsReportWithinTheirResolution(t *testing.T) {
	runs := 3
	if testing.Short() {
		runs = 1
	}
	cases, err := feed(runs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		for i, o := range c.Tools {
			limit := map[string]float64{
				ours: 0.001, "DDSketch": 0.0101, "Prometheus native": 0.1, "Prometheus classic": 1,
				"access log, ms": 1 / (c.TruthMS[0] * 0.9), "Prometheus summary": 0.5,
			}[o.Tool]
			if c.Distribution != "shifting" && o.Tool == "Prometheus summary" {
				limit = 0.1
			}
			if limit == 0 || o.Worst > limit || o.Median > o.Worst || o.Worst == 0 {
				t.Errorf("%s, %s around %v ms: median %v, worst %v, limit %v", o.Tool, c.Distribution, c.TypicalMS, o.Median, o.Worst, limit)
			}
			if got := [2]int{o.Bracketed, o.Held}; tools[i].name == ours && got != [2]int{runs, runs} || tools[i].name != ours && got != [2]int{} {
				t.Errorf("%s, %s around %v ms: %d brackets, %d of them hold", o.Tool, c.Distribution, c.TypicalMS, o.Bracketed, o.Held)
			}
		}
	}
}

func TestTheReportSaysWhatDoesNotHold(t *testing.T) {
	r := Report{Runs: 2, Fed: []Case{{Distribution: "normal", TypicalMS: 2, Tools: []Off{
		{Tool: ours, Worst: 0.0005, Bracketed: 2, Held: 2}, {Tool: "DDSketch", Worst: 0.01},
	}}}}
	if !r.held() || len(r.closer()) != 0 {
		t.Errorf("held %v, closer %v", r.held(), r.closer())
	}
	r.Fed[0].Tools[1].Worst = 0.0004
	if got := r.closer(); len(got) != 1 {
		t.Errorf("a tool that was closer is not named: %v", got)
	}
	r.Fed[0].Tools[0].Held = 1
	if r.held() || r.missed() != 1 {
		t.Errorf("a bracket that missed: held %v, missed %d", r.held(), r.missed())
	}
	r.Fed[0].Tools[0].Held, r.Programs = 2, []Trial{{Program: "nginx"}}
	if !r.held() {
		t.Error("another's error is not ours")
	}
	r.Programs = append(r.Programs, Trial{Program: ours})
	if r.held() {
		t.Error("a trial that missed counts as held")
	}
}
