// Package notify tells people. It has the words of a message, made for the
// screen of a phone, the one interface that every channel implements, and the
// part of the configuration that says which channels and contacts there are.
// Each channel has a folder of its own below; package kinds lists them.
//
// A channel sends one message, once, and says what became of it. It keeps no
// queue and tries nothing again: its Error says whether that could help and
// when. It reaches the world only through [Outside], so that whoever makes the
// Outside decides what may leave the process.
//
// Everything in a message may have been written by a stranger: the name of a
// service, a path, the message of a commit. [Line] makes of it one line in which
// nothing can be tapped but the link that is meant to be; what else a format
// could obey, its channel escapes. A secret is read from its file or variable
// each time it is used, and is in no error, log or text.
package notify
