package load

import "time"

// schedule is the share of one thread in the intended times of an open loop: every stride-th request from the first-th.
// Times are nanoseconds on the clock of the run.
type schedule struct {
	start         int64
	interval      float64 // between the requests of all threads
	first, stride uint64
}

// at is the intended time of the i-th request of the thread. It is computed anew from i, so that no error adds up.
func (s schedule) at(i uint64) int64 {
	return s.start + int64(float64(s.first+i*s.stride)*s.interval)
}

// tail is how long before a request is due its timer is set to end, in nanoseconds; the rest is spun. It is as long as
// nine timers of ten are late by, which differs by machine and by what else runs: a longer one would take the processor
// from what is measured.
type tail int64

const (
	firstTail   = tail(20 * time.Microsecond)
	longestTail = tail(60 * time.Microsecond)
	tailStep    = tail(100 * time.Nanosecond)
)

// learn takes into account by how much a timer was late.
func (t *tail) learn(late int64) {
	if tail(late) > *t {
		*t = min(*t+9*tailStep, longestTail)
	} else {
		*t = max(*t-tailStep, tailStep)
	}
}
