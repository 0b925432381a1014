// Package witnesstest has a witness to test logs with: a complete and strict
// one (https://c2sp.org/tlog-witness), whose memory is the process's.
package witnesstest
