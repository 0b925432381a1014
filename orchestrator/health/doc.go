// Package health judges how an API is doing. Measure takes from the histograms
// of a window and of the last tick what the gates look at; Judge turns it,
// together with what earlier ticks left behind, into a Verdict; NewDocument
// makes of that the document of GET /health/alerts. All three are pure: no
// clock, no I/O, no goroutine, so that every verdict can be replayed from the
// Measurement and State that were recorded.
//
// # Score
//
//	score    = min(weighted, 39 + 0.61 · worst component)
//	weighted = 0.5 · latency + 0.3 · errors + 0.2 · anomalies
//
// Each component is 100 up to its warning threshold, 50 at its critical one, 0
// far beyond (P95 at 3 times the critical threshold, errors at 5 times,
// anomaly at 2 times), and linear between. The cap is deliberate: by the
// weighted sum alone, an API that answers every request with a fast 500 would
// be healthy. A component that could not be measured is null and counts as 100.
//
// The score's status is healthy from 70, degraded below, critical below 40.
//
// # Status
//
// The document's status is the worse of two views: critical if an alert of
// severity critical fires or the score is below 40; else warning if any alert
// fires or the score is below 70; else ok. Without a single measurement it is
// ok with the reason "no_data", unless requests were seen that could not be
// measured: they raise a warning.
//
// # Gates
//
// Each is on, in shadow or off (Params.Gates). A gate in shadow is asked, and
// its alert is shown apart from those that count; the component it would score
// is null. The metrics are published in any mode.
//
//   - absolute_threshold: the window's P95 and error rate against fixed limits.
//     P95 needs Params.MinSamples latencies, the rate Params.MinErrors errors. An API that answers nothing at all
//     with fewer than that waiting raises a warning of its own.
//   - z_score: the tick's P95 against the mean and the population standard
//     deviation of the baseline, z = (P95 − mean) / σ. It is undefined, and
//     null, with fewer than 20 ticks or without any variance. Only slower is
//     worse: anomaly_score = max(0, z) / threshold, and 0 unless the slowdown is
//     at least 25 % and 20 ms. What counts is the least of the last
//     Params.ZTicks ticks: the P95 of a few requests is the second slowest of
//     them, and by chance alone one such tick an hour is far off.
//   - adaptive_threshold: opt-in. P95 limits learned from the baseline's mean
//     and deviation, in force where they are stricter than the absolute ones.
//   - rate_of_change: one tick against the one before: P95 doubled, errors
//     tripled, with floors.
//   - measurement: more than 1 % of the requests seen have no latency.
//
// The baseline is the P95 of the last 720 healthy ticks (an hour). A tick is
// healthy when no alert about the service fires and its score is 70 or more;
// others teach nothing, so that an incident does not become the new normal.
// The price: a service that is permanently slower than before, by enough to be
// an anomaly, stays one until the baseline is started afresh.
//
// # Trend
//
// The slope of the least-squares line through the last ten scores: improving
// from +2 points a step, degrading from −2.
package health
