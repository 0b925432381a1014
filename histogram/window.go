package histogram

const second = int64(1e9)

// window is the last sealed seconds, one slot each, and their running sum.
type window struct {
	slots  []slot
	sealed int64 // seconds sealed since the start; the newest slot is (sealed−1) mod len(slots)
	sum    sums
	ever   sums // every slot there was
}

// seal ends the seconds up to upTo, which is later than sealed, and puts what
// was counted since the last seal in the newest of them. Seconds that were
// missed are empty.
func (w *window) seal(upTo int64, packed []byte, unmeasured [NumReasons]uint64) {
	length := int64(len(w.slots))
	for second := max(w.sealed, upTo-length); second < upTo; second++ {
		s := &w.slots[second%length]
		s.addTo(-1, &w.sum)
		if second == upTo-1 {
			s.fill(packed, unmeasured)
			s.addTo(1, &w.sum, &w.ever)
		} else {
			s.fill(nil, [NumReasons]uint64{})
		}
		if second%length == 0 {
			w.sum.trim()
		}
	}
	w.sealed = upTo
}

// covered is how many seconds of the last n were sealed.
func (w *window) covered(n int64) int64 { return min(n, w.sealed, int64(len(w.slots))) }

// last is the sum of the newest n slots, n at most covered.
func (w *window) last(n int64) *sums {
	total := new(sums)
	for second := w.sealed - n; second < w.sealed; second++ {
		w.slots[second%int64(len(w.slots))].addTo(1, total)
	}
	return total
}
