// Package api is the HTTP API on the admin listener, read-only: the health
// document, the status page, liveness, readiness and Prometheus metrics. It
// also holds the client that reads the status page.
//
// # Paths
//
//	GET /health/alerts  the health document (package health)
//	GET /status         Status: everything one screen shows
//	GET /healthz        200 while evaluations succeed, else 503
//	GET /readyz         200 while the traffic listener serves, else 503
//	GET /metrics        Prometheus: text, and protobuf with native histograms
//
// HEAD works wherever GET does; another method is 405, another path 404 with
// a list of these. Answers are never cached, and carry no CORS header.
//
// A failing evaluation makes /healthz answer 503, and /readyz say so while it
// stays 200: traffic is served all the same and must not be taken away for it.
//
// # Who may ask
//
// The listener is the boundary: there is no authentication here, and nothing
// that changes state. Against DNS rebinding, a request that arrives on a
// loopback address must name a loopback host in its Host header: localhost, a
// name below it, an IP address, or a name in Config.AllowedHosts. A web page
// that points its own domain name at 127.0.0.1 gets 421.
package api
