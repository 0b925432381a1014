// Package approval asks people whether an action may run, and counts what they
// answer: links that are worth one decision, the page behind them, and the
// rules by which taps become an authorization.
//
//   - A [Key] signs the tokens in links. A token says whom it is for and what
//     for: one contact, one tenant, one incident, one action, one policy, for
//     [LinkLife]. [Key.Verify] says what is wrong with one that is not good.
//   - A [Request] is what the ledger says of one question: the links that were
//     sent, who approved, how it ended. It is folded from [Step]s, and decides
//     by [Request.Decide] what a tap leads to. It is pure: no clock, no I/O, no
//     goroutine.
//   - A [Handler] is the public side: GET shows and changes nothing, POST
//     decides. What it shows and whom it asks to decide is its [Desk].
//
// A token alone decides nothing. What uses up a link is the step in the ledger,
// so that two racing taps are put in order by whoever appends, and a restart
// forgets none. Execution is not here: an [Authorized] outcome means that the
// step which says so is durable, no more.
package approval
