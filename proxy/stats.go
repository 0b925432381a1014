package proxy

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what the proxy has counted since it started.
type Stats struct {
	// ClientConns and UpstreamConns are open now; UpstreamIdle of the latter
	// wait for a request.
	ClientConns, UpstreamConns, UpstreamIdle int
	// Accepted counts client connections.
	Accepted uint64
	// Errors counts the answers the proxy made up itself and the exchanges it
	// broke off, by the name sent in the Countersign-Error header.
	Errors map[string]uint64
	// Retries counts requests sent a second time after a reused connection
	// turned out to be stale.
	Retries uint64
	// Statuses counts the upstream's answers of 400 and above by their status,
	// those of 600 and above as 599. Answers below are not counted here.
	Statuses map[int]uint64
	// Connects counts the connections made to the upstream, ConnectTime is what
	// they took together, TLS included. Attempts that failed are among Errors.
	Connects    uint64
	ConnectTime time.Duration
}

// The statuses of errors.
const (
	firstErrorStatus = 400
	lastErrorStatus  = 599
)

// statusCounts counts answers by status. Safe for concurrent use. Only answers
// that tell of an error are counted, so that the ordinary ones cost nothing.
type statusCounts [lastErrorStatus - firstErrorStatus + 1]atomic.Uint64

// count counts an answer of 400 or above.
func (c *statusCounts) count(status int) {
	c[min(status, lastErrorStatus)-firstErrorStatus].Add(1)
}

func (c *statusCounts) byStatus() map[int]uint64 {
	m := map[int]uint64{}
	for i := range c {
		if n := c[i].Load(); n > 0 {
			m[firstErrorStatus+i] = n
		}
	}
	return m
}
