package verify

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// benchLog is a log whose entries have about 600 bytes, like those of an
// incident.
func benchLog(b *testing.B, size int) string {
	l := newTestLog(b)
	for i := 1; i < size; i++ {
		l.add(object("v", 1, "kind", "incident.stage", "time", "2026-01-02T03:04:05.678901Z", "once", fmt.Sprintf("inc-%08d/DETECTED", i),
			"tenant_id", "acme", "service", "checkout", "incident_id", fmt.Sprintf("inc-%08d", i), "stage", "DETECTED",
			"actor", "policy", "decision", "open", "reason", strings.Repeat("P95 1,234 ms is above 1,000 ms; ", 6),
			"confidence", 0.93, "policy_version", 7, "policy_digest", strings.Repeat("0123456789abcdef", 4),
			"metadata", map[string]any{"score": 42, "trend": "degrading", "samples": []int{812, 1033, 1100}}))
	}
	b.ReportMetric(float64(len(l.leaves[1])), "B/entry")
	return l.bundle(b).write(b, b.TempDir())
}

// cpu is the processor time that the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// peakHeap samples the memory that objects take until stop is called.
func peakHeap() (stop func() uint64) {
	done := make(chan struct{})
	var peak uint64
	var running sync.WaitGroup
	running.Go(func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for {
			select {
			case <-done:
				return
			case <-time.After(10 * time.Millisecond):
				metrics.Read(sample)
				peak = max(peak, sample[0].Value.Uint64())
			}
		}
	})
	return func() uint64 {
		close(done)
		running.Wait()
		return peak
	}
}

// BenchmarkVerifyDir reports entries a second, on the clock and for each second
// of processor time.
func BenchmarkVerifyDir(b *testing.B) {
	const size = 200_000
	path := benchLog(b, size)
	runtime.GC()
	d, err := NewDir(path)
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	stop := peakHeap()
	b.ResetTimer()
	before := cpu(b)
	for b.Loop() {
		if r := Log(b.Context(), d, Options{}); r.Code != Verified {
			b.Fatal(r.Verdict, r.Problem)
		}
	}
	used := cpu(b) - before
	entries := float64(size) * float64(b.N)
	b.ReportMetric(entries/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(entries/used.Seconds(), "entries/cpu-s")
	b.ReportMetric(float64(stop())/(1<<20), "peak-MiB")
}
