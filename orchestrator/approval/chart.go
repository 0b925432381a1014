package approval

import (
	"fmt"
	"math"
	"strings"
)

// The drawing, in units of its own; the page scales it to the width it has.
const (
	chartWidth  = 340
	chartHeight = 110
	chartTop    = 14 // room for the label of the highest value
	chartBase   = chartHeight - 4
	maxPoints   = 90
	// nearby is how far above the highest value a threshold is still drawn.
	nearby = 1.5
)

// svg draws the chart, and says in words what it shows: empty when there is
// nothing to draw. It has at most 3 KB.
func (c Chart) svg() string {
	points := thin(c.Points)
	first, last, high := c.span(points)
	if first < 0 || first == last {
		return ""
	}
	top := high
	for _, line := range []*float64{c.Warning, c.Critical} {
		if line != nil && *line <= high*nearby {
			top = max(top, *line)
		}
	}
	if top <= 0 {
		top = 1
	}
	start, end := points[0].At, points[len(points)-1].At
	x := func(p Point) float64 {
		whole := end.Sub(start).Seconds()
		if whole <= 0 {
			return 0
		}
		return p.At.Sub(start).Seconds() / whole * chartWidth
	}
	y := func(value float64) float64 { return chartBase - value/top*(chartBase-chartTop) }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-labelledby="chart-title chart-text">`, chartWidth, chartHeight)
	b.WriteString(`<title id="chart-title">` + c.of() + `</title><desc id="chart-text">` + c.words(points, first, last, high) + `</desc>`)
	for _, line := range []struct {
		class string
		at    *float64
	}{{"warn", c.Warning}, {"crit", c.Critical}} {
		if line.at == nil || !(*line.at > 0 && *line.at <= top) {
			continue
		}
		fmt.Fprintf(&b, `<path class="%s" d="M0 %.0fH%d"/><text x="%d" y="%.0f" text-anchor="end">%s</text>`,
			line.class, y(*line.at), chartWidth, chartWidth, y(*line.at)-3, c.figure(*line.at))
	}
	b.WriteString(`<path class="p95" d="`)
	pen := "M"
	for _, p := range points {
		if !measured(p) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&b, "%s%.0f %.0f", pen, x(p), y(*p.Value))
		pen = "L"
	}
	fmt.Fprintf(&b, `"/><path class="base" d="M0 %dH%d"/></svg>`, chartBase, chartWidth)
	return b.String()
}

// of is what the chart is of.
func (c Chart) of() string {
	if c.Errors {
		return "Error rate"
	}
	return "P95 latency"
}

func (c Chart) figure(value float64) string {
	if c.Errors {
		return percent(value)
	}
	return milliseconds(value)
}

func measured(p Point) bool {
	return p.Value != nil && *p.Value >= 0 && !math.IsInf(*p.Value, 0)
}

// span is the first and the last point that has a value, -1 when none has, and
// the highest value.
func (c Chart) span(points []Point) (first, last int, high float64) {
	first, last = -1, -1
	for i, p := range points {
		if !measured(p) {
			continue
		}
		if first < 0 {
			first = i
		}
		last, high = i, max(high, *p.Value)
	}
	return first, last, high
}

// words say what the chart shows, for those who do not see it.
func (c Chart) words(points []Point, first, last int, high float64) string {
	span, what := points[len(points)-1].At.Sub(points[0].At), "P95"
	if c.Errors {
		what = "the error rate"
	}
	return fmt.Sprintf("Over %s, %s went from %s to %s; the highest was %s.",
		duration(span), what, c.figure(*points[first].Value), c.figure(*points[last].Value), c.figure(high))
}

// thin leaves at most maxPoints, each the highest of those that it stands for:
// a peak is what the chart is for.
func thin(points []Point) []Point {
	if len(points) <= maxPoints {
		return points
	}
	out := make([]Point, 0, maxPoints)
	for i := range maxPoints {
		group := points[i*len(points)/maxPoints : (i+1)*len(points)/maxPoints]
		best := group[0]
		for _, p := range group[1:] {
			if measured(p) && (!measured(best) || *p.Value > *best.Value) {
				best = p
			}
		}
		out = append(out, best)
	}
	return out
}
