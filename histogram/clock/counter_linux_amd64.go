package clock

import (
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// current is the line Now reads. A line without a slope means the runtime's
// clock, its base ahead.
var current atomic.Pointer[line]

// following guards the drawing of lines; Now takes it about once a second.
var following struct {
	sync.Mutex
	last sample // where the clocks were when the current line was drawn
}

func init() { current.Store(new(line)) }

// Now is monotonic nanoseconds since an arbitrary origin in this process. It
// never goes backwards. Safe for concurrent use.
//
//go:noescape
func Now() int64

// counter reads the time-stamp counter.
//
//go:noescape
func counter() uint64

// cpuid is the processor's description of itself.
//
//go:noescape
func cpuid(leaf uint32) (eax, edx uint32)

// calibration is how long Calibrate watches the counter. Reading both clocks
// together is good to some 50 ns, so the first line is good to 10 ppm.
const calibration = 5 * time.Millisecond

// Calibrate makes Now read the processor's counter if that can be trusted. It
// takes 5 ms the first time and nothing afterwards. Safe for concurrent use.
func Calibrate() {
	following.Lock()
	defer following.Unlock()
	if Fast() || !trusted() {
		return
	}
	from := takeSample()
	time.Sleep(calibration)
	to := takeSample()
	if l, ok := firstLine(from, to); ok {
		l.base += current.Load().base
		following.last = to
		current.Store(&l)
	}
}

// Fast reports whether Now reads the processor's counter.
func Fast() bool { return current.Load().slope != 0 }

// redraw answers in Now's place when the current line does not reach the
// counter, and draws the line that does.
//
//lint:ignore U1000 the assembly of Now goes on here
func redraw() int64 {
	if l := current.Load(); l.slope == 0 {
		return runtimeNow() + l.base
	}
	following.Lock()
	defer following.Unlock()
	return follow(takeSample())
}

// follow is redraw where both clocks are at to. The caller holds following.
func follow(to sample) int64 {
	l := current.Load()
	if l.slope == 0 {
		return to.ns + l.base // another reader gave the counter up meanwhile
	}
	if ns, ok := l.at(to.counter); ok {
		return ns // another reader drew it meanwhile
	}
	next, ok := l.next(following.last, to)
	if !ok {
		next = line{base: max(0, l.end()-to.ns)}
		current.Store(&next)
		return to.ns + next.base
	}
	following.last = to
	current.Store(&next)
	return next.base
}

// takeSample reads both clocks together: the narrowest of a few attempts, so
// that one interrupted between the two does not count.
func takeSample() sample {
	var best sample
	narrowest := ^uint64(0)
	for range 5 {
		before := counter()
		ns := runtimeNow()
		if width := counter() - before; width < narrowest {
			narrowest = width
			best = sample{counter: before, ns: ns}
		}
	}
	return best
}

// trusted reports whether the counter runs at one rate whatever the processor
// does, and the kernel found it good enough to keep time by.
func trusted() bool {
	const maxLeaf, powerLeaf, invariant = 0x80000000, 0x80000007, 1 << 8
	if highest, _ := cpuid(maxLeaf); highest < powerLeaf {
		return false
	}
	if _, features := cpuid(powerLeaf); features&invariant == 0 {
		return false
	}
	source, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	return err == nil && strings.TrimSpace(string(source)) == "tsc"
}
