//go:build amd64 && linux

package clock

import (
	"math/bits"
	"sync"
	"testing"
)

// machine is a made-up pair of clocks: a counter of some rate beside the
// runtime's.
type machine struct {
	hz  uint64
	now sample
}

func (m *machine) advance(ns int64) sample {
	hi, lo := bits.Mul64(uint64(ns), m.hz)
	ticks, _ := bits.Div64(hi, lo, second)
	m.now.counter += ticks
	m.now.ns += ns
	return m.now
}

func TestLinesFollowTheRuntime(t *testing.T) {
	for _, hz := range []uint64{1_000_000_000, 2_000_000_000, 2_899_999_777, 5_000_000_000} {
		m := &machine{hz: hz}
		from := m.advance(1_000_000)
		to := m.advance(int64(calibration))
		l, ok := firstLine(from, to)
		if !ok {
			t.Fatalf("%d Hz: no line", hz)
		}
		last := to
		for step := range 30 {
			if step == 10 {
				m.hz += hz / 1_000_000 * 40 // the runtime's clock is being slewed from here on
				m.advance(3 * second)
			}
			now := m.advance(l.scale(l.span) + 100)
			before, _ := l.at(now.counter)
			next, ok := l.next(last, now)
			if !ok {
				t.Fatalf("%d Hz, step %d: given up", hz, step)
			}
			after, _ := next.at(now.counter)
			if step != 10 && after != before {
				t.Errorf("%d Hz, step %d: a step of %d ns", hz, step, after-before)
			}
			if after < l.end() {
				t.Errorf("%d Hz, step %d: back by %d ns", hz, step, l.end()-after)
			}
			if off := after - now.ns; off > 50_000 || off < -50_000 {
				t.Errorf("%d Hz, step %d: off by %d ns", hz, step, off)
			}
			if step == 29 && (after-now.ns > 100 || now.ns-after > 100) {
				t.Errorf("%d Hz: still off by %d ns", hz, after-now.ns)
			}
			if next.span > maxSpan || next.slope > maxSlope+maxSlope/1000 {
				t.Errorf("%d Hz: span %d × slope %d may overflow", hz, next.span, next.slope)
			}
			l, last = next, now
		}
	}
}

func TestLineRefuses(t *testing.T) {
	good := line{pivot: 2_000_000, span: 20_000_000, slope: 1 << 31, base: 1_000_000}
	from := sample{counter: 2_000_000, ns: 1_000_000}
	tests := []struct {
		name string
		to   sample
		ok   bool
	}{
		{"the same rate", sample{42_000_000, 21_000_000}, true},
		{"a little faster", sample{42_001_000, 21_000_000}, true},
		{"a counter that leapt ahead", sample{4_200_000_000, 21_000_000}, false},
		{"a counter that stood still", sample{2_000_000, 21_000_000}, false},
		{"a counter set back", sample{1_000_000, 21_000_000}, false},
		{"a runtime clock that stood still", sample{42_000_000, 1_000_000}, false},
		{"2000 ppm off", sample{42_080_000, 21_000_000}, false},
	}
	for _, tt := range tests {
		if _, ok := good.next(from, tt.to); ok != tt.ok {
			t.Errorf("%s: ok = %v", tt.name, ok)
		}
	}
	if _, ok := firstLine(sample{1000, 1000}, sample{2000, 5000}); ok {
		t.Error("a counter below 1 GHz was accepted")
	}
}

func TestLineBeforeItsPivot(t *testing.T) {
	l := line{pivot: 1000, span: 1000, slope: 1 << 31, base: 77}
	if ns, ok := l.at(990); ns != 77 || !ok {
		t.Errorf("at = %d, %v; want the base", ns, ok)
	}
	l.pivot += maxSkew
	if _, ok := l.at(990); ok {
		t.Error("a counter that was set back was taken for a core that is behind")
	}
}

// A counter that leaps or is set back, as suspending a machine does, is given
// up. The readers that waited meanwhile see no step back, and time goes on.
func TestCounterGivenUp(t *testing.T) {
	defer func() {
		current.Store(new(line))
		Calibrate()
	}()
	following.Lock()
	defer following.Unlock()
	drawn := sample{counter: 1 << 40, ns: second}
	for name, counter := range map[string]uint64{
		"set back":      12_345,
		"leapt ahead":   1 << 50,
		"a little back": drawn.counter - 2*maxSkew,
	} {
		following.last = drawn
		current.Store(&line{pivot: drawn.counter, span: 2 * second, slope: 1 << 31, base: drawn.ns + second/2})
		end := current.Load().end()
		first := follow(sample{counter: counter, ns: drawn.ns + 1000})
		waited := follow(sample{counter: counter + 4000, ns: drawn.ns + 3000})
		if Fast() || first < end || waited != first+2000 {
			t.Errorf("%s: fast %v, the clock says %d, after 2000 ns %d; the line ended at %d", name, Fast(), first, waited, end)
		}
	}
}

// Readers must not see a step back while lines are redrawn under them far more
// often than once a second, nor when the counter is given up.
func TestNeverBackwardsWhileRedrawn(t *testing.T) {
	if !Fast() {
		t.Skip("this machine's counter is not trusted by its kernel")
	}
	defer func() {
		current.Store(new(line))
		Calibrate()
	}()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := Now(); ; {
				select {
				case <-done:
					return
				default:
				}
				for range 100 {
					now := Now()
					if now < last {
						t.Errorf("the clock went back by %d ns", last-now)
						return
					}
					last = now
				}
			}
		})
	}
	for range 20_000 {
		following.Lock()
		// The line ends now: the next reader has to draw another.
		l := *current.Load()
		to := takeSample()
		if ns, ok := l.at(to.counter); ok {
			l.base, l.pivot, l.span = ns, to.counter, 200
			following.last = to
			following.last.counter -= 2_000_000_000
			following.last.ns -= l.scale(2_000_000_000)
			current.Store(&l)
		}
		following.Unlock()
		Now()
	}
	giveUp := line{base: max(0, current.Load().end()-runtimeNow())}
	current.Store(&giveUp)
	close(done)
	readers.Wait()
}
