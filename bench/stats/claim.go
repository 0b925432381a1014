package stats

import (
	"fmt"
	"math"
)

// Verdict is what the figures say of a claim.
type Verdict string

// Verdicts.
const (
	Holds   Verdict = "holds"
	Fails   Verdict = "fails"
	TooWide Verdict = "too wide" // the figures say neither
)

// Claim is that a ratio is at least or at most Want, and the ratio that was measured, with its interval.
type Claim struct {
	Name      string
	Ratio     float64
	Low, High float64
	Want      float64
	AtLeast   bool // otherwise at most
}

// Claim is a claim about the ratio that an interval is of.
func (i Interval) Claim(name string, want float64, atLeast bool) Claim {
	return Claim{Name: name, Ratio: i.Value, Low: i.Low, High: i.High, Want: want, AtLeast: atLeast}
}

// widest is the width beyond which an interval says too little, in parts of what is claimed.
const widest = 0.10

// Verdict is Holds or Fails when the whole interval is on one side of what is claimed. When it reaches across, it is
// TooWide if it is wider than the claim is away from 1, or than 10 %, whichever is less (a claim of 1 itself: 10 %); a
// narrower one is decided by the ratio.
func (c Claim) Verdict() Verdict {
	for _, figure := range []float64{c.Ratio, c.Low, c.High, c.Want} {
		if math.IsNaN(figure) {
			return TooWide
		}
	}
	holds, fails, byRatio := c.Low >= c.Want, c.High < c.Want, c.Ratio >= c.Want
	if !c.AtLeast {
		holds, fails, byRatio = c.High <= c.Want, c.Low > c.Want, c.Ratio <= c.Want
	}
	switch {
	case holds:
		return Holds
	case fails:
		return Fails
	case c.High-c.Low > c.limit():
		return TooWide
	case byRatio:
		return Holds
	}
	return Fails
}

func (c Claim) limit() float64 {
	if distance := math.Abs(c.Want - 1); distance > 0 {
		return min(distance, widest*c.Want)
	}
	return widest
}

// String gives the ratio only if the figures say something about it.
func (c Claim) String() string {
	side := "at most"
	if c.AtLeast {
		side = "at least"
	}
	if c.Verdict() == TooWide {
		return fmt.Sprintf("%s: between %.3f and %.3f, no claim (%s %.2f was asked for)", c.Name, c.Low, c.High, side, c.Want)
	}
	return fmt.Sprintf("%s: %.3f (%.3f to %.3f), %s %.2f: %s", c.Name, c.Ratio, c.Low, c.High, side, c.Want, c.Verdict())
}
