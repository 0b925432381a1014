// Package ebpf measures HTTP/1.1 without being in its way: a program in the
// kernel follows the connections of one port by the packets that pass, and
// counts by route, outcome and latency bucket. User space reads those counts
// once a second into a histogram.Recorder. No request costs it anything.
//
// docs/PROBE.md says how it works, what it counts, and where its limits are.
package ebpf
