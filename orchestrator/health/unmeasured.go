package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unmeasured doubts the measurement when too many requests were seen and not
// measured. Below MinSamples one stray request would be too many, so there it
// speaks only when nothing at all was measured.
func (j judgement) unmeasured() *Alert {
	var n uint64
	var reasons []string
	for _, r := range slices.Sorted(maps.Keys(j.window.Unmeasured)) {
		if c := j.window.Unmeasured[r]; c > 0 {
			n += c
			reasons = append(reasons, fmt.Sprintf("%s %d", r, c))
		}
	}
	seen := max(j.window.Seen, n)
	nothingMeasured := seen == n
	if n == 0 || (seen < j.params.MinSamples && !nothingMeasured) {
		return nil
	}
	share := float64(n) / float64(seen)
	if share <= j.params.UnmeasuredShare {
		return nil
	}
	return &Alert{
		Type: TypeUnmeasured, Severity: Warning, TriggeredBy: GateMeasurement,
		Message: fmt.Sprintf("%s of the requests seen in the last %s have no latency", percent(share), j.span()),
		ReasonForTrigger: fmt.Sprintf("%d of %d requests unmeasured is more than %s (%s)",
			n, seen, percent(j.params.UnmeasuredShare), strings.Join(reasons, ", ")),
	}
}
