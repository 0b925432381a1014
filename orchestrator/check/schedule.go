package check

import "time"

// longestDelay bounds how late a target is asked for the first time.
const longestDelay = 10 * time.Second

// spread is the span over which first checks are scattered, so that targets
// with the same interval are not all asked at once.
func spread(interval time.Duration) time.Duration { return min(interval, longestDelay) }

// next is the first time after now on the grid of interval that begins at
// first. A check that took longer than its interval leaves out what it missed.
func next(first time.Time, interval time.Duration, now time.Time) time.Time {
	if now.Before(first) {
		return first
	}
	missed := now.Sub(first) / interval
	return first.Add((missed + 1) * interval)
}
