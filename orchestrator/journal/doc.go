// Package journal keeps the sidecar's ledger beside the traffic and never in
// its way: the ledger is checked and opened while requests are already
// served, and one that cannot be opened or written is reported, loudly, and
// stops nothing but what needs it.
package journal
