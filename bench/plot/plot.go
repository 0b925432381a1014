// Package plot writes charts as SVG: text and shapes, nothing that runs or is
// fetched, readable on light and dark pages. What is drawn is a function of the
// figures.
package plot

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bar is a figure with the range that it was found in.
type Bar struct {
	Label            string
	Value, Low, High float64
	Marked           bool // stands out
}

const (
	width  = 760.0
	left   = 150.0 // of the plot: room for labels
	right  = width - 110
	top    = 56.0
	barRow = 24.0
)

// Bars is a chart of horizontal bars from 0, each with a whisker from Low to High.
func Bars(title, unit string, bars []Bar) string {
	most := 0.0
	for _, b := range bars {
		most = max(most, b.Value, b.High)
	}
	ticks := linearTicks(most)
	most = ticks[len(ticks)-1]
	x := func(v float64) float64 { return left + max(v, 0)/most*(right-left) }
	bottom := top + barRow*float64(len(bars))
	c := newCanvas(title, unit, bottom+34)
	for _, t := range ticks {
		c.line("grid", x(t), top, x(t), bottom)
		c.text("tick", x(t), bottom+16, "middle", number(t))
	}
	for i, b := range bars {
		y := top + barRow*float64(i)
		class := "bar"
		if b.Marked {
			class = "marked"
		}
		fmt.Fprintf(&c.b, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", class, left, y+4, x(b.Value)-left, barRow-8)
		if b.High > b.Low {
			c.line("range", x(b.Low), y+barRow/2, x(b.High), y+barRow/2)
		}
		c.text("label", left-8, y+barRow/2+4, "end", b.Label)
		c.text("value", max(x(b.Value), x(b.High))+6, y+barRow/2+4, "start", number(b.Value))
	}
	return c.end()
}

// Line is a latency by quantile: Values[i] is that of Quantiles[i] of the chart.
type Line struct {
	Label  string
	Values []float64
	Marked bool
}

const (
	lineBottom = 330.0
	key        = 18.0
)

// Quantiles is a chart of latencies by quantile, both axes logarithmic: the horizontal one by how many in how few are
// slower. Values that are not above 0 are left out.
func Quantiles(title, unit string, quantiles []float64, lines []Line) string {
	low, high := math.Inf(1), 0.0
	for _, l := range lines {
		for _, v := range l.Values {
			if v > 0 {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		low, high = 1, 10
	}
	low = math.Pow(10, math.Floor(math.Log10(low)))
	high = max(math.Pow(10, math.Ceil(math.Log10(high)-1e-9)), low*10)
	nines := func(q float64) float64 { return -math.Log10(1 - q) }
	first, last := nines(quantiles[0]), nines(quantiles[len(quantiles)-1])
	x := func(q float64) float64 { return left + (nines(q)-first)/(last-first)*(right-left) }
	y := func(v float64) float64 { return lineBottom - math.Log(v/low)/math.Log(high/low)*(lineBottom-top) }
	c := newCanvas(title, unit, lineBottom+40+key*math.Ceil(float64(len(lines))/3))
	for _, q := range quantiles {
		c.line("grid", x(q), top, x(q), lineBottom)
		c.text("tick", x(q), lineBottom+16, "middle", "P"+strconv.FormatFloat(q*100, 'g', 6, 64))
	}
	for v := low; v <= high*1.0001; v *= 10 {
		c.line("grid", left, y(v), right, y(v))
		c.text("tick", left-8, y(v)+4, "end", number(v))
	}
	for i, l := range lines {
		stroke := fmt.Sprintf(`style="stroke:hsl(%d 60%% 50%%)"`, i*360/len(lines))
		class := "curve"
		if l.Marked {
			class = "curve heavy"
		}
		var points strings.Builder
		for k, v := range l.Values {
			if v > 0 {
				fmt.Fprintf(&points, "%.1f,%.1f ", x(quantiles[k]), y(v))
			}
		}
		fmt.Fprintf(&c.b, "<polyline class=\"%s\" %s points=\"%s\"/>\n", class, stroke, strings.TrimSpace(points.String()))
		kx, ky := left+float64(i%3)*180, lineBottom+38+key*float64(i/3)
		fmt.Fprintf(&c.b, "<line class=\"%s\" %s x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, stroke, kx, ky, kx+22, ky)
		c.text("label", kx+28, ky+4, "start", l.Label)
	}
	return c.end()
}

// canvas is a drawing that grows.
type canvas struct{ b strings.Builder }

const look = `text{font:12px sans-serif;fill:#333}.title{font-weight:bold;font-size:14px}.tick,.unit{fill:#777;font-size:11px}
.grid{stroke:#ddd}.bar{fill:#9db4c8}.marked{fill:#2a6f97}.range{stroke:#222}.curve{fill:none;stroke-width:1.5}.heavy{stroke-width:3.5}`

func newCanvas(title, unit string, height float64) *canvas {
	c := &canvas{}
	fmt.Fprintf(&c.b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">\n", width, height, escape(title))
	fmt.Fprintf(&c.b, "<style>%s</style>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n", look)
	c.text("title", 16, 24, "start", title)
	c.text("unit", 16, 42, "start", unit)
	return c
}

func (c *canvas) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&c.b, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class, x1, y1, x2, y2)
}

func (c *canvas) text(class string, x, y float64, anchor, text string) {
	fmt.Fprintf(&c.b, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", class, x, y, anchor, escape(text))
}

func (c *canvas) end() string {
	c.b.WriteString("</svg>\n")
	return c.b.String()
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").Replace

// linearTicks are up to seven round numbers from 0 on, the last not below most.
func linearTicks(most float64) []float64 {
	if most <= 0 || math.IsInf(most, 0) || math.IsNaN(most) {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.2, 0.5, 1, 2} {
		if most/(step*part) <= 6 {
			step *= part
			break
		}
	}
	ticks := []float64{0}
	for t := step; ticks[len(ticks)-1] < most; t += step {
		ticks = append(ticks, t)
	}
	return ticks
}

// number writes three significant figures, thousands apart by k.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(math.Round(v/100)/10, 'f', -1, 64) + "k"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
