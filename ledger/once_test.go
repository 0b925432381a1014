package ledger

import (
	"fmt"
	"testing"
)

func TestTally(t *testing.T) {
	empty := newTally()
	type pair struct {
		key   byte
		index uint64
	}
	count := func(pairs ...pair) tally {
		sum := empty
		for _, p := range pairs {
			sum.add([32]byte{p.key}, p.index)
		}
		return sum
	}
	whole := count(pair{1, 7}, pair{2, 8}, pair{3, 9})
	if other := count(pair{3, 9}, pair{1, 7}, pair{2, 8}); other != whole {
		t.Error("the order counts")
	}
	merged := count(pair{2, 8})
	merged.merge(count(pair{3, 9}, pair{1, 7}))
	if merged != whole {
		t.Error("tallies that were merged are not that of the whole")
	}
	for _, other := range []tally{
		empty,
		count(pair{1, 7}, pair{2, 8}),
		count(pair{1, 7}, pair{2, 8}, pair{3, 9}, pair{3, 9}),
		count(pair{1, 7}, pair{2, 8}, pair{3, 10}),
		count(pair{1, 8}, pair{2, 7}, pair{3, 9}),
		count(pair{1, 7}, pair{2, 8}, pair{4, 9}),
	} {
		if other == whole {
			t.Errorf("another set has the same tally: %v", fmt.Sprint(other))
		}
	}
	if a, b := newTally(), newTally(); a == b {
		t.Error("two tallies have the same secret")
	}
}
