package plot

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// inert reads a drawing as XML, and returns its elements; anything that could run or be fetched is an error.
func inert(t *testing.T, svg string) (names []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		names = append(names, e.Name.Local)
		if !slices.Contains([]string{"svg", "style", "rect", "line", "polyline", "text"}, e.Name.Local) {
			t.Errorf("there is an element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			if a.Name.Local == "href" || strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Value, "url(") {
				t.Errorf("there is an attribute %s=%q", a.Name.Local, a.Value)
			}
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s is %s=%q", e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
}

func count(names []string, name string) (n int) {
	for _, other := range names {
		if other == name {
			n++
		}
	}
	return n
}

func TestBars(t *testing.T) {
	svg := Bars(`a < b & "c"`, "requests/s", []Bar{
		{Label: "one", Value: 100, Low: 90, High: 120, Marked: true},
		{Label: "<script>", Value: 50, Low: 50, High: 50},
		{Label: "below", Value: -3, Low: -4, High: -2},
	})
	names := inert(t, svg)
	if got := count(names, "rect"); got != 4 { // the background and the bars
		t.Errorf("there are %d rectangles, want 4", got)
	}
	// The axis goes to 120 in steps of 20: 100 is five sixths of 500.
	if want := fmt.Sprintf(`class="marked" x="150.0" y="60.0" width="%.1f"`, (right-left)*100/120); !strings.Contains(svg, want) {
		t.Errorf("the bar of 100 is not %q in\n%s", want, svg)
	}
	if strings.Contains(svg, "<script") {
		t.Error("a label is not escaped")
	}
	inert(t, Bars("none", "s", nil))
}

func TestQuantiles(t *testing.T) {
	svg := Quantiles("latency", "µs", []float64{0.5, 0.9, 0.99, 0.999}, []Line{
		{Label: "one", Values: []float64{10, 20, 100, 1000}, Marked: true},
		{Label: "negative", Values: []float64{-1, 5, 50, 500}},
	})
	names := inert(t, svg)
	if got := count(names, "polyline"); got != 2 {
		t.Errorf("there are %d curves, want 2", got)
	}
	// 1000 µs is at the top, and P99.9 at the right.
	if want := fmt.Sprintf("%.1f,%.1f", right, top); !strings.Contains(svg, want) {
		t.Errorf("no point is at %s in\n%s", want, svg)
	}
	inert(t, Quantiles("none", "µs", []float64{0.5, 0.9}, nil))
	inert(t, Quantiles("a power of ten", "µs", []float64{0.5, 0.9}, []Line{{Label: "one", Values: []float64{10, 10}}}))
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		most float64
		want []float64
	}{
		{0, []float64{0, 1}},
		{math.NaN(), []float64{0, 1}},
		{1, []float64{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}},
		{120, []float64{0, 20, 40, 60, 80, 100, 120}},
		{45000, []float64{0, 10000, 20000, 30000, 40000, 50000}},
	} {
		if got := linearTicks(c.most); !slices.Equal(got, c.want) {
			t.Errorf("ticks up to %v are %v, want %v", c.most, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.1234: "0.123", 12.34: "12.3", 123.4: "123", 1234: "1234", 12345: "12.3k", 45000: "45k", 1.5e6: "1.5M",
	} {
		if got := number(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
