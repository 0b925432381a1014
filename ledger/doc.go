// Package ledger keeps a log that nobody can change unnoticed: an append-only
// list of entries in a Merkle tree, whose checkpoints are signed and can be
// verified offline, by others, with tools that are not ours.
//
// An entry is a leaf, kept byte for byte: one JSON object (RFC 8259, UTF-8, no
// member name twice) of at most 65,535 bytes. Of its members the ledger knows
// these, the others belong to the application:
//
//   - "kind", a string, is required. Those that begin with "ledger." are the
//     ledger's own.
//   - "time" is a time of RFC 3339.
//   - "once", a string of 1 to 256 bytes, is an idempotency key: no two entries
//     have the same. It is appended with [Log.AppendOnce], and since it is in the
//     leaf, that it was used only once can be verified by everybody.
//   - "evidence", an array of objects with "name", "sha256" (64 lowercase
//     hexadecimal digits) and "len", names blobs that belong to the entry. The log
//     keeps them by their sum, each once. An entry and the blobs it brings go into
//     one transaction, of about 600 KB.
//
// # What an append promises
//
// When [Log.Append] returns, the entries are durable, and the checkpoint that
// covers them is signed and durable in the anchor, a file outside the store. One
// goroutine does all the writing; callers that wait at the same time share its
// transactions. When a write fails in a way after which nobody can know what is
// on disk, the log stops with [ErrFailed] and stays readable; the next [Open]
// finds out.
//
// # What Open promises
//
// [Open] computes the tree anew from the leaves and compares it with everything
// that was signed. A log that lacks, or has otherwise, what it acknowledged is
// refused with an [*IntegrityError], and nothing of it is changed. There is no
// repair: to go on from a loss would sign it.
//
// What it cannot see is a whole directory put back to an earlier state, anchor
// included. An anchor on another disk, a checkpoint that somebody has kept, or
// witnesses that cosign checkpoints ([Options.Witnesses]) show that.
//
// # On disk
//
//	DIR/ledger.key                  the signing key, only its owner may read it
//	DIR/ledger.key.next             a key that is just becoming the log's
//	DIR/store/                      entries, tree and blobs, in Badger
//	DIR/store.check/                while Open checks the store
//	DIR/anchor/checkpoint           the last acknowledged checkpoint
//	DIR/anchor/checkpoint.witnessed the last one with cosignatures
//
// While a log is open its directories are locked with flock(2). A log is read
// over HTTP in the tlog-tiles layout ([Log.Handler]), and exported in the same
// ([Log.Export]). Package ledger/verify checks such an export, and shares no code
// with this package.
package ledger
