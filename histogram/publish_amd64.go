//go:build !race

package histogram

import (
	"sync/atomic"
	"unsafe"
)

// publish stores v where other goroutines load it.
//
// Go's memory model promises those that a word holds a value that was written to
// it, torn or invented never, even without an atomic store; what it does not
// promise is an order among several words. A record is one word and nothing is
// ordered by it, so a plain store, which amd64 makes visible at once, is all a
// Lane needs: whoever misses it reads it a second later. atomic.Uint64.Store is an
// XCHG here, a full barrier that costs more than the rest of Start or Finish.
// Race detector builds use it, as every other platform does.
func publish(to *atomic.Uint64, v uint64) {
	*(*uint64)(unsafe.Pointer(to)) = v
}
