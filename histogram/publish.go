//go:build !amd64 || race

package histogram

import "sync/atomic"

// publish stores v where other goroutines load it.
func publish(to *atomic.Uint64, v uint64) { to.Store(v) }
