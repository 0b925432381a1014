package orchestrator

import (
	"testing"
	"time"
)

func TestTrailHasTheLastTenMinutes(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	var trail []Step
	for i := range 3 * trailLength {
		before := trail
		trail = follow(trail, Step{At: begin.Add(time.Duration(i) * TickInterval)})
		if len(before) > 0 && before[len(before)-1] == trail[len(trail)-1] {
			t.Fatal("the slice before was written to")
		}
	}
	if len(trail) != trailLength || trail[trailLength-1].At.Sub(trail[0].At) != time.Duration(trailLength-1)*TickInterval {
		t.Errorf("%d steps from %v to %v", len(trail), trail[0].At, trail[len(trail)-1].At)
	}
}
