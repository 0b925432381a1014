//go:build amd64 && linux

package clock

import "math/bits"

// line turns counter readings in [pivot, pivot+span) into nanoseconds. The
// assembly of Now knows the order of the fields.
type line struct {
	pivot uint64
	span  uint64 // in ticks, at most maxSpan, so that ticks × slope fits 64 bits
	slope uint64 // nanoseconds a tick, times 2³²; 0 is no line
	base  int64  // nanoseconds at the pivot
}

// sample is both clocks read together: the runtime's said ns just after the
// counter was read.
type sample struct {
	counter uint64
	ns      int64
}

const (
	maxSpan  = 1 << 31
	maxSlope = 1 << 32 // 1 GHz; a slower counter is not worth reading

	second    = 1_000_000_000
	firstSpan = 20_000_000 // nanoseconds; each line reaches twice as far as the last, up to a second

	maxDrift = 1000 // ppm the counter's rate may change in a second before it is given up
	maxSlew  = 200  // ppm added to or taken from the slope to catch up

	maxSkew = 1 << 20 // ticks one core's counter may be behind another's, a millisecond at most
)

// at is the time at a counter reading; not ok when it is past the line's end.
// A reading just before the pivot comes from a core whose counter is a hair
// behind and is taken for the pivot. One far before it, not ok either, is of a
// counter that was set back: by suspend to RAM, or when the process was restored
// on another machine.
func (l *line) at(counter uint64) (ns int64, ok bool) {
	ticks := counter - l.pivot
	if int64(ticks) < 0 {
		return l.base, -ticks <= maxSkew
	}
	return l.base + l.scale(ticks), ticks < l.span
}

func (l *line) scale(ticks uint64) int64 {
	hi, lo := bits.Mul64(ticks, l.slope)
	return int64(hi<<32 | lo>>32)
}

// end is the time no reading of this line has reached.
func (l *line) end() int64 { return l.base + l.scale(l.span) }

// firstLine begins at to. It is never behind the runtime's clock, so going
// over to it is no step back.
func firstLine(from, to sample) (line, bool) {
	slope := slopeBetween(from, to)
	if slope == 0 || slope > maxSlope {
		return line{}, false
	}
	return line{pivot: to.counter, span: ticksIn(firstSpan, slope), slope: slope, base: to.ns}, true
}

// next is the line that takes over from l, which was drawn at from and has
// ended by to. It begins where l, carried on, would be, and meets the runtime's
// clock at its own end. When nobody has read the clock for longer than l was
// meant to last it begins at the runtime's time instead: nobody saw the line in between. It
// is not ok when the counter cannot be trusted any more.
func (l *line) next(from, to sample) (line, bool) {
	rate := slopeBetween(from, to)
	if drift := int64(rate) - int64(l.slope); max(drift, -drift) > int64(l.slope/1e6*maxDrift) {
		return line{}, false
	}
	base, _ := l.at(to.counter)
	if to.counter-l.pivot > 2*l.span {
		base = max(l.end(), to.ns)
	}
	span := min(2*l.span, ticksIn(second, rate), maxSpan)
	reach := (&line{slope: rate}).scale(span)
	behind := to.ns - base
	slew := min(max(behind*1_000_000/reach, -maxSlew), maxSlew)
	return line{pivot: to.counter, span: span, slope: uint64(int64(rate) + int64(rate/1e6)*slew), base: base}, true
}

// slopeBetween is the counter's rate from one sample to a later one, 0 when
// they do not tell.
func slopeBetween(from, to sample) uint64 {
	ticks, ns := to.counter-from.counter, uint64(to.ns-from.ns)
	if int64(ticks) <= 0 || int64(ns) <= 0 || ns>>32 >= ticks {
		return 0
	}
	slope, _ := bits.Div64(ns>>32, ns<<32, ticks)
	return slope
}

func ticksIn(ns, slope uint64) uint64 {
	ticks, _ := bits.Div64(ns>>32, ns<<32, slope)
	return ticks
}
