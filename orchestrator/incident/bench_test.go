package incident

import "testing"

// BenchmarkFold reads and applies one entry: what a start costs for each.
func BenchmarkFold(b *testing.B) {
	s := newScene(b)
	s.step(s.breached("z_score", "consecutive_failures:db"))
	s.step(s.breached("z_score", "consecutive_failures:db"))
	s.step(s.recovered())
	var leaves [][]byte
	for _, e := range s.entries {
		leaf, err := e.Entry.Leaf()
		if err != nil {
			b.Fatal(err)
		}
		leaves = append(leaves, leaf)
	}
	b.ReportAllocs()
	state, i := NewState(tenant), 0
	for b.Loop() {
		if i%len(leaves) == 0 {
			state = NewState(tenant)
		}
		e, _, err := ParseEntry(leaves[i%len(leaves)])
		if err == nil {
			err = state.Apply(uint64(i), e)
		}
		if err != nil {
			b.Fatal(err)
		}
		i++
	}
}
