package ebpf

import "github.com/countersign-dev/countersign/histogram"

// Stats is what a Probe has seen since it was opened, as of its last reading.
type Stats struct {
	Attach     Attach   // TCX or Socket
	Interfaces []string // attached to, by name; the socket sees all
	// Seen = Measured + the sum of Unmeasured + InFlight, at rest; while
	// requests come and go, a reading's parts are a few microseconds apart.
	Seen       uint64
	Measured   uint64
	Unmeasured map[histogram.Reason]uint64 // reasons that occurred

	Connections  int    // followed now
	InFlight     int    // requests without a whole answer
	Paths        uint64 // paths that were new, identifiers set aside
	PathsOther   uint64 // requests counted as "other" because too many paths were new at once
	KernelMemory uint64 // bytes the probe takes in the kernel at most
	Packets      uint64 // with the API's port and something to look at
	// Contended is packets that were passed over because another processor
	// held their connection; what that cost is among Unmeasured.
	Contended uint64
}
