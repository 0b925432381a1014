// Package bundle writes bundles: copies of a log that anybody can check
// without the program that wrote it. A bundle is a directory, or a .tar.zst
// archive of one, with the resources of the tlog-tiles read API as files for
// the size of its checkpoint, the evidence blobs, and a file that names the
// format.
//
// [Export] brings a directory up to date with a log, [Archive] writes an
// archive. Both work on one checkpoint of the log, which may grow meanwhile.
// All of it, what was there before as well as what was fetched, is verified
// against that checkpoint by package verify before anything is put in place,
// and the log must continue the checkpoint that the bundle had. So a bundle
// holds a verified log, and never an older or another one than before.
//
// An export that was interrupted can be repeated, and goes on where it was.
// Only while the verified files are being put in place, the checkpoint last,
// does a bundle hold files that its checkpoint does not speak of yet; if the
// machine stops at that moment, the next export mends it.
package bundle
