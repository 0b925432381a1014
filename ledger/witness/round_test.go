package witness

import "testing"

// TestARoundWaitsForThoseItBeganWith has a witness that was away come back
// during a round, first with an answer about the checkpoint before.
func TestARoundWaitsForThoseItBeganWith(t *testing.T) {
	before, now := &checkpoint{size: 1}, &checkpoint{size: 2}
	r := &round{policy: &Policy{}, away: []bool{true, false, false}}
	r.start(now)
	for i, step := range []struct {
		answer  answer
		waiting int
	}{
		{answer{0, before, "line\n"}, 2},
		{answer{0, now, "line\n"}, 2},
		{answer{1, before, ""}, 2},
		{answer{1, now, "line\n"}, 1},
		{answer{1, now, "line\n"}, 1},
		{answer{2, now, ""}, 0},
	} {
		if r.note(step.answer); r.waiting != step.waiting {
			t.Errorf("after answer %d it waits for %d witnesses, not %d", i, r.waiting, step.waiting)
		}
	}
}
