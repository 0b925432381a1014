package load

// ring is a queue of indices, each at most once, for as many as there are.
type ring struct {
	items       []int
	head, count int
}

func newRing(n int) ring { return ring{items: make([]int, n)} }

func (r *ring) push(i int) {
	r.items[(r.head+r.count)%len(r.items)] = i
	r.count++
}

func (r *ring) first() (int, bool) {
	if r.count == 0 {
		return 0, false
	}
	return r.items[r.head], true
}

func (r *ring) pop() (int, bool) {
	i, ok := r.first()
	if ok {
		r.head, r.count = (r.head+1)%len(r.items), r.count-1
	}
	return i, ok
}
