// Package view reads single entries of a log that somebody else keeps, and
// proves them. Of what it reads, nothing is given out that is not in the tree
// whose root a key of the log has signed: a [View] is one such state.
//
// It reads only what it needs. That the log as a whole is sound, and keeps to
// its rules, is for package verify to say.
package view
