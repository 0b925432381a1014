// Package egress is the one way out of the process for everything that has an
// effect outside: messages, approval links, recovery actions. Channels and
// actions make no connection of their own, they get one from a [Gate].
//
// The Gate knows of shadow mode: while it is on for a tenant, nothing of that
// tenant leaves, not even the question of a name. It also limits where a
// configured URL can lead: the addresses that a name resolves to are judged,
// and the connection goes to one that was judged, so that a name which
// resolves otherwise the next time gains nothing. What is not a public address
// is refused unless it was allowed.
//
// What only reads (checks of targets, other services' health documents, the
// history of a repository) has no effect and does not pass here.
package egress
