// Package incident is the life of an incident: the stages it goes through, the
// entries of the ledger that take it there, and what can be shown from those
// entries afterwards.
//
// Everything in it is a function of its arguments. [State] is the fold of one
// tenant's entries. [State.Step] compares it with an observation and drafts the
// entries that follow; once the ledger has them, [State.Apply] takes them in.
// Nothing else changes a state, so that a restart is a fold of the ledger, and an
// observation or an append that is lost is made up for by the next one.
//
// Apply refuses what is not legal: a transition that there is not, a second open
// incident, an effect while shadow mode is on, a step by somebody who may not take
// it. Step puts each of its drafts through Apply, so that it cannot draft one.
//
// With a [Plan] an incident is more than told of: an action is proposed, a
// validation asks people whether it may run, and what they tap on becomes entries
// by [State.Taps]. The question is a part of the fold, so that Apply refuses an
// authorization without its quorum. [State.Carry] enters the execution of what was
// authorized, and [State.Executed] what became of it.
//
// A detection, a validation and a recovery carry the decision and what it was made
// of as evidence. [Replay] decides again from that. [NewCheck] is the audit that
// ledger verify makes of all entries.
package incident
