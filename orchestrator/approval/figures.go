package approval

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// milliseconds shows a latency: 0.85 ms, 184 ms, 1,847 ms.
func milliseconds(ms float64) string {
	switch {
	case math.IsNaN(ms) || math.IsInf(ms, 0):
		return "unknown"
	case math.Abs(ms) < 10:
		return strconv.FormatFloat(math.Round(ms*100)/100, 'f', -1, 64) + " ms"
	}
	return thousands(math.Round(ms)) + " ms"
}

// thousands groups the digits of a whole number, which may have at most 18.
func thousands(n float64) string {
	if math.Abs(n) >= 1e18 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	digits := strconv.FormatInt(int64(math.Abs(n)), 10)
	var b strings.Builder
	if n < 0 {
		b.WriteByte('-')
	}
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// percent shows a share from 0 to 1.
func percent(share float64) string {
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return "unknown"
	}
	p := share * 100
	if p > 0 && p < 9.95 {
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + " %"
}

// clock shows a moment to the second, and the day when it is not today's.
func clock(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04:05") + " UTC"
	}
	return t.Format("2 Jan 2006 15:04:05") + " UTC"
}

// duration shows how long something is: 45 s, 4 min 12 s, 3 h 5 min, 2 days.
func duration(d time.Duration) string {
	d = max(0, d).Round(time.Second)
	two := func(a time.Duration, an string, b time.Duration, bn string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, an)
		}
		return fmt.Sprintf("%d %s %d %s", a, an, b, bn)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return two(d/time.Minute, "min", d%time.Minute/time.Second, "s")
	case d < 48*time.Hour:
		return two(d/time.Hour, "h", d%time.Hour/time.Minute, "min")
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}
