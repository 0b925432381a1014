// Package verify checks a ledger that somebody hands over, without trusting
// whoever wrote it or the machine it lay on. It shares no code with package
// ledger: it has parsers of its own, and its tree is another implementation's.
//
// Log verifies a whole log, top-down: the checkpoint's signature vouches for the
// root, the root for the right edge of the tree, each tile for those below it,
// the tiles of level 0 for the entries. What is wrong can so be named exactly,
// and what comes before it is still proven. Proof verifies one entry by a
// tlog-proof. Both give a Report, whose Code is the verdict and whose Tier says
// how far it goes.
//
// A log is read through a Source: a bundle in a directory (Dir) or an archive
// (Archive), or the tlog-tiles API of a running one (HTTP). OpenSource finds out
// which. Every resource has a limit of its own, so that a hostile source can
// waste neither memory nor disk.
//
// The formats are those of C2SP, so that other tools can read the same log:
// https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint,
// https://c2sp.org/tlog-tiles, https://c2sp.org/tlog-proof. A checkpoint is
// judged more strictly than they ask, for no byte of it may be altered
// unnoticed: base64 must be canonical, and a key may sign once. What they demand
// is ignored is ignored: signatures of unknown keys, and extension lines.
//
// What nothing here can find: that the signer wrote the log anew, unless a kept
// checkpoint (Options.Since) or witnesses (Options.Policy) say otherwise; and
// that what the entries say is untrue.
package verify
