package stats

import (
	"math"
	"strings"
	"testing"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name             string
		ratio, low, high float64
		want             float64
		atLeast          bool
		verdict          Verdict
	}{
		{"all above", 1.10, 1.05, 1.15, 1, true, Holds},
		{"just", 1.10, 1.00, 1.15, 1, true, Holds},
		{"all below", 0.90, 0.85, 0.95, 1, true, Fails},
		{"across and narrow, above", 1.02, 0.98, 1.06, 1, true, Holds},
		{"across and narrow, below", 0.99, 0.96, 1.04, 1, true, Fails},
		{"across and wide", 1.10, 0.90, 1.30, 1, true, TooWide},
		{"touching from below and narrow", 0.97, 0.93, 1.00, 1, true, Fails},
		{"touching from below and wide", 0.90, 0.80, 1.00, 1, true, TooWide},
		{"wide, and all on one side", 2.00, 1.50, 3.00, 1, true, Holds},
		{"at most, all below", 0.90, 0.85, 0.95, 1, false, Holds},
		{"at most, all above", 1.10, 1.05, 1.15, 1, false, Fails},
		{"at most, across and narrow", 0.99, 0.96, 1.04, 1, false, Holds},
		{"at most, across and wide", 0.99, 0.90, 1.10, 1, false, TooWide},
		{"2 % by an interval of 4 %", 0.99, 0.97, 1.01, 0.98, true, TooWide},
		{"2 % by an interval of 1 %", 0.983, 0.978, 0.988, 0.98, true, Holds},
		{"20 % by an interval of 11 %", 1.22, 1.17, 1.28, 1.2, true, Holds},
		{"20 % by an interval of 15 %", 1.22, 1.15, 1.30, 1.2, true, TooWide},
		{"no bound", 1, 0.9, math.Inf(1), 1, true, TooWide},
		{"no figure", math.NaN(), 0.9, 1.1, 1, true, TooWide},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim := Interval{c.ratio, c.low, c.high}.Claim("x", c.want, c.atLeast)
			if got := claim.Verdict(); got != c.verdict {
				t.Errorf("%+v %s, want %s", claim, got, c.verdict)
			}
		})
	}
}

func TestClaimText(t *testing.T) {
	good := Claim{"throughput to nginx's", 1.1, 1.05, 1.15, 1, true}
	if got, want := good.String(), "throughput to nginx's: 1.100 (1.050 to 1.150), at least 1.00: holds"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	wide := Claim{"throughput to nginx's", 1.1234, 0.9, 1.3, 1, true}
	if got := wide.String(); strings.Contains(got, "1.123") || !strings.Contains(got, "between 0.900 and 1.300, no claim") {
		t.Errorf("%q has the ratio", got)
	}
}
