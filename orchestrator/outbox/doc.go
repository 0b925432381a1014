// Package outbox sees to it that what is due to be said is said: to every
// contact that it concerns, once, whatever fails or dies meanwhile.
//
// What is due are the effect.due entries of the ledger; what has been done are its
// effect.receipt entries. [State] is the fold of both, and nothing else is state.
// [Box] adds what a restart may forget: attempts, waits, circuit breakers. Both are
// functions of what they are told and of the time they are given. [Outbox] is the
// thin shell around them that reads the ledger, sends, and records.
//
// A message may be accepted by its channel and the process die before the receipt
// is in the ledger. A file beside the ledger closes that gap: it is written and
// synced before each attempt and again right after the acceptance. A death between
// the acceptance and that second sync leaves a message in doubt; it is sent once
// more, with the same idempotency key, and never a third time.
package outbox
