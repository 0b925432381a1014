package proxy

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
}
