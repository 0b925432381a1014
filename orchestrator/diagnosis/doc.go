// Package diagnosis explains incidents. Diagnosers look at the [Evidence] of an
// incident and name a [Cause], with the figures that it rests on; a [Council]
// has two of them side by side and says whether they agree.
//
// A diagnosis decides nothing. This package knows neither incidents' stages nor
// approvals nor actions, and imports nothing that does: what it returns is text
// and numbers for people. It may be absent, late or wrong, and every decision is
// the same.
//
// Gathering evidence, the rules, merging answers, signatures and scores are pure:
// no clock, no I/O, no goroutine. [Council.Run] and [Model] do the waiting.
//
// What others wrote (routes, titles of changes, reasons of failed checks) reaches
// a model only as bounded, masked fields of JSON, and what comes of a model is
// rendered inert: one line of plain text without links or markup.
package diagnosis
