// Package witness is the part that others play in a log's honesty. A witness
// remembers the latest checkpoint it has seen of a log and cosigns a new one
// only when it extends that one, so a log cannot show two histories without a
// witness noticing.
//
// It has three things:
//   - [Policy], which witnesses count and how many it takes
//     (https://c2sp.org/tlog-policy);
//   - cosignatures, [NewVerifier] and [NewCosigner]
//     (https://c2sp.org/tlog-cosignature, the Ed25519 kind, cosignature/v1);
//   - [Client], which brings a log's checkpoints to its witnesses
//     (https://c2sp.org/tlog-witness) without the log ever waiting for one.
//
// A cosignature says that its witness saw this checkpoint at that time, and
// none before that contradicts it. It says nothing of what the entries mean,
// and a witness under the same hands as the log proves nothing.
package witness
