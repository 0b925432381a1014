// Package exchange holds the benchmark of one request and its answer over loopback:
// direct, through the sidecar's proxy, and through the shortest proxy that fasthttp
// makes.
package exchange
