//go:build !(amd64 && linux)

package clock

// Now is monotonic nanoseconds since an arbitrary origin in this process. It
// never goes backwards. Safe for concurrent use.
func Now() int64 { return runtimeNow() }

// Calibrate does nothing on this platform: Now is the runtime's clock.
func Calibrate() {}

// Fast reports whether Now reads the processor's counter.
func Fast() bool { return false }
