package ledger

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// benchLeaf is a leaf of 600 bytes.
func benchLeaf(i int) []byte {
	head := fmt.Sprintf(`{"v":1,"kind":"incident.detected","time":"2006-01-02T15:04:05Z","n":%d,"pad":"`, i)
	return []byte(head + strings.Repeat("x", 600-len(head)-2) + `"}`)
}

// BenchmarkAppend64Writers appends entries of 600 bytes from 64 goroutines, each
// of which waits until its entry is durable and anchored.
func BenchmarkAppend64Writers(b *testing.B) {
	o := testOptions(b)
	o.MinFree = DefaultMinFree
	l := openLog(b, o)
	var next atomic.Int64
	var running sync.WaitGroup
	b.ResetTimer()
	for range 64 {
		running.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := l.Append(b.Context(), []Entry{{Leaf: benchLeaf(int(i))}}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkAppendOne appends one entry after the other, and after each one waits
// for the disk four times with nothing else to do. It reports the median and the
// 99th percentile of both, and the ratio of the latter.
func BenchmarkAppendOne(b *testing.B) {
	o := testOptions(b)
	o.MinFree = DefaultMinFree
	l := openLog(b, o)
	disk, err := os.Create(filepath.Join(o.Dir, "disk"))
	if err != nil {
		b.Fatal(err)
	}
	defer disk.Close()
	var appends, waits []time.Duration
	for i := 0; b.Loop(); i++ {
		entries := []Entry{{Leaf: benchLeaf(i)}}
		start := time.Now()
		if _, err := l.Append(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
		appends = append(appends, time.Since(start))
		b.StopTimer()
		start = time.Now()
		for range 4 {
			if _, err := disk.WriteAt(entries[0].Leaf, int64(i*4096)); err != nil {
				b.Fatal(err)
			}
			if err := disk.Sync(); err != nil {
				b.Fatal(err)
			}
		}
		waits = append(waits, time.Since(start))
		b.StartTimer()
	}
	for name, values := range map[string][]time.Duration{"": appends, "-of-4-fsyncs": waits} {
		b.ReportMetric(float64(quantile(values, 0.5).Microseconds()), "p50-µs"+name)
		b.ReportMetric(float64(quantile(values, 0.99).Microseconds()), "p99-µs"+name)
	}
	b.ReportMetric(quantile(appends, 0.99).Seconds()/quantile(waits, 0.99).Seconds(), "p99-ratio")
}

// quantile is the value of rank ⌈q·n⌉.
func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(1, int(math.Ceil(q*float64(len(sorted)))))-1]
}

// BenchmarkOpen opens logs of entries of 600 bytes, which checks all of them.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			if testing.Short() && size > 100_000 {
				b.Skip("long: making the log takes half a minute")
			}
			o := testOptions(b)
			fillLog(b, o, size)
			for b.Loop() {
				l, err := Open(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				closeLog(b, l)
				b.StartTimer()
			}
		})
	}
}

// fillLog makes a log of so many entries of 600 bytes.
func fillLog(b *testing.B, o Options, size int) {
	b.Helper()
	l := openLog(b, o)
	for i := 0; i < size; {
		var entries []Entry
		for ; len(entries) < 700 && i < size; i++ {
			entries = append(entries, Entry{Leaf: benchLeaf(i)})
		}
		if _, err := l.Append(b.Context(), entries); err != nil {
			b.Fatal(err)
		}
	}
	closeLog(b, l)
}
