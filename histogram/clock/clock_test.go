package clock

import (
	"sync"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	Calibrate()
	m.Run()
}

// The clock is compared with the runtime's over an interval long enough for
// several lines, the short first ones included.
func TestAgreesWithRuntime(t *testing.T) {
	const ppm = 50
	// Reading one clock after the other may be interrupted, at both ends.
	before, beganNow, began := time.Now(), Now(), time.Now()
	for _, reach := range []time.Duration{30 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond} {
		for time.Since(began) < reach {
			Now()
		}
		want := time.Since(began)
		got := time.Duration(Now() - beganNow)
		after := time.Since(before)
		slack := want*ppm/1_000_000 + 2*time.Microsecond
		if got < want-slack || got > after+slack {
			t.Errorf("after %v the clock says %v, beyond %d ppm", want, got, ppm)
		}
	}
}

func TestNeverBackwards(t *testing.T) {
	var readers sync.WaitGroup
	until := time.Now().Add(300 * time.Millisecond)
	for range 4 {
		readers.Go(func() {
			last := Now()
			for n := 0; n%1000 != 0 || time.Now().Before(until); n++ {
				now := Now()
				if now < last {
					t.Errorf("the clock went back by %d ns", last-now)
					return
				}
				last = now
			}
		})
	}
	readers.Wait()
}

func TestNoAllocations(t *testing.T) {
	if n := testing.AllocsPerRun(1000, func() { Now() }); n != 0 {
		t.Errorf("Now allocates %v times", n)
	}
}

func BenchmarkClock(b *testing.B) {
	b.Run("Now", func(b *testing.B) {
		for b.Loop() {
			Now()
		}
	})
	b.Run("time.Since", func(b *testing.B) {
		for b.Loop() {
			runtimeNow()
		}
	})
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			_ = time.Now()
		}
	})
}
