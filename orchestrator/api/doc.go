// Package api is the HTTP API on the admin listener: the health document, the
// status page, liveness, readiness and Prometheus metrics; and, for those who
// have a tenant's secret, its incidents, its shadow mode and what was changed.
// It also holds the client that the command line uses.
//
// # Paths
//
//	GET  /health/alerts  the health document (package health)
//	GET  /status         Status: everything one screen shows
//	GET  /healthz        200 while evaluations succeed, else 503
//	GET  /readyz         200 while the traffic listener serves, else 503
//	GET  /metrics        Prometheus: text, and protobuf with native histograms
//	GET  /ledger/…       the ledger (package journal)
//
//	GET    /tenant/{tenant}/shadow         Shadow: is shadow mode on?
//	POST   /tenant/{tenant}/shadow         back to shadow mode
//	DELETE /tenant/{tenant}/shadow         go live; X-Countersign-Who names who orders it
//	GET    /tenant/{tenant}/shadow/report  ?format=json|md|html&from=&to=
//	GET    /tenant/{tenant}/health         the tenant's health document
//	GET    /incidents                      IncidentList of the own tenant, or ?tenant=
//	GET    /incidents/{id}                 one with its entries
//	GET    /incidents/{id}/replay          one decided again from what was recorded
//	POST   /incidents/{id}/mark            a person's verdict on one
//	POST   /incidents/{id}/ask             a contact asks for an action about the open one
//	GET    /outbox                         OutboxList: what waits to be sent, and dead letters
//	POST   /outbox/{id}/retry              sends a dead letter again
//	POST   /commits/webhook                GitHub's webhook, signed
//	POST   /commits/{tenant}               commits and deployments from CI
//	POST   /changes                        other changes, CloudEvents too
//
// HEAD works wherever GET does; another method is 405, another path 404 with
// a list of these. Answers are never cached, and carry no CORS header. An
// error is a JSON object with a sentence at "error".
//
// A failing evaluation makes /healthz answer 503, and /readyz say so while it
// stays 200: traffic is served all the same and must not be taken away for it.
//
// # Who may ask
//
// The listener is the first boundary: what only reads the own service's matters
// is free on it. Whatever changes something, and everything of a tenant below
// /tenant/, needs that tenant's secret, in X-Tenant-Secret or as a bearer
// token. Once there is more than one tenant, so do the own one's incidents and
// the ledger, which has the entries of all. Without a secret the answer is 401,
// with another's 403, whether there is such a tenant or not; each refusal is
// handed to the docket to be recorded. An address that gave ten wrong secrets
// must wait six seconds for each further one: 429. Wrong secrets of pushed changes
// are counted apart, as a proxy may let the world push. Nor does a right secret
// give orders without end: going live and marks are entries of a ledger that is
// everybody's, and have an allowance for each tenant.
//
// Against DNS rebinding, a request that arrives on a loopback address must name
// a loopback host in its Host header: localhost, a name below it, an IP
// address, or a name in Config.AllowedHosts. A web page that points its own
// domain name at 127.0.0.1 gets 421. Orders from a page of another site get
// 403, and a body must be application/json, which no form can send.
package api
