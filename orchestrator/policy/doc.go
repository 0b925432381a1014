// Package policy holds the one document that decides, and decides by it.
//
// A Policy is read from YAML (Parse), where nothing is guessed, or is the
// built-in one (Default). Variables of the environment override single values
// (Override). Its Digest is taken over the canonical form of the whole
// document, so that a changed threshold shows even when the version's name was
// not changed.
//
// Decide is a pure function of the state that the last decision left, of what
// is known at one tick, and of the policy: no clock, no I/O, no goroutine. The
// same arguments give the same bytes on every machine, so that each decision
// can be made again from what was recorded. Values may be shared between
// goroutines as long as nobody writes to them; Decide writes to none.
//
// # When an incident must be open
//
// Decision.Breached: the score is below open_below, a target is DOWN, a burn
// rate of severity critical fires, or a target or the service is flapping. Only
// gates that are on count. For a remote service the score is the lower of what
// its figures give and what it reports of itself.
//
// # When it has recovered
//
// Decision.Recovered: the score is above recover_above and the error rate below
// recover_error_rate, no target is DOWN, no burn rate fires, nothing is
// flapping, and all that has held for recover_after. It is never concluded from
// silence: since the last breach the service must have answered enough
// requests, or a check. Both are levels, not edges: they hold at every tick
// while their conditions do.
//
// # Time
//
// All durations are measured by Input.Time. After a clock that went back, or a
// minute or more without a tick, what was being waited for (calm, quiet)
// begins anew.
package policy
