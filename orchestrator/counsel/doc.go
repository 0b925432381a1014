// Package counsel has incidents explained while they are open: it looks at what the
// ledger has of them, asks a council of diagnosers, and hands what they said to the
// docket, which records it.
//
// It is beside the docket, in goroutines of its own. Nothing waits for it but the
// words of a message, and those no longer than the budget: it may hang, fail or be
// absent, and every decision is the same. What has been explained is what the ledger
// says has been, so that a restart neither forgets nor repeats a diagnosis.
package counsel
