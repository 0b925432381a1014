// Package histogram measures HTTP requests: a Recorder counts every one of
// them, by route and outcome, and answers quantiles of exact rank over a rolling
// window of one-second slots. It is a library of its own; nothing in it knows
// of proxies.
//
// A sensor gives each connection a Lane and tells it when a request starts and
// how it ends, with readings of package clock. That costs two stores, and one
// uncontended lock every 32 requests, so that the two clock readings are most of
// the price:
//
//	lane := recorder.Lane()
//	defer lane.Close()
//	…
//	lane.Start(recorder.Route(method, target), clock.Now())
//	…
//	end := clock.Now()
//	lane.Finish(histogram.Success, end, end)
//
// A sensor that counts by itself, out of the way of the requests, hands its counts
// over in bulk with a Feed.
//
// Run moves what the Lanes recorded into the window each second. Snapshot and
// SnapshotLast answer for the window or its newest part, Totals for everything
// since the start.
//
// Latencies are counted in the buckets of HdrHistogram at three significant
// figures: a quantile is the bracket of the bucket that holds the value at rank
// ⌈q·n⌉ of all n values, less than 0.1 % wide. Counts can be written and read as
// HdrHistogram V2, which other languages' implementations understand.
//
// Routes are named by templates, from patterns or an OpenAPI document, or else
// by collapsing what looks like an identifier in a path; their number is bounded.
package histogram
