package check

import (
	"testing"
	"time"
)

func TestNextStaysOnItsGrid(t *testing.T) {
	first := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return first.Add(time.Duration(s * float64(time.Second))) }
	for _, c := range []struct{ now, want float64 }{
		{-3, 0}, {0, 10}, {0.1, 10}, {9.999, 10}, {10, 20}, {10.2, 20},
		{35, 40}, // a check that took 25 s leaves out what it missed
	} {
		if got := next(first, 10*time.Second, at(c.now)); !got.Equal(at(c.want)) {
			t.Errorf("at %v s the next is at %v, want %v s", c.now, got.Sub(first), c.want)
		}
	}
}

func TestFirstChecksAreSpreadButNotLate(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, 10 * time.Second: 10 * time.Second, time.Hour: 10 * time.Second,
	} {
		if got := spread(interval); got != want {
			t.Errorf("with interval %v within %v, want %v", interval, got, want)
		}
	}
}
