package histogram

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/countersign-dev/countersign/histogram/clock"
)

func benchRecorder(b *testing.B) *Recorder {
	b.Helper()
	clock.Calibrate()
	r, err := NewRecorder(Config{})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// BenchmarkRecord is the whole price of one request: two readings of the
// clock, its start and its end. "counted" has nobody to count the records but the
// Lane that made them, "running" has Run as a service has.
func BenchmarkRecord(b *testing.B) {
	record := func(b *testing.B, r *Recorder) {
		lane := r.Lane()
		defer lane.Close()
		route := r.Route([]byte("GET"), []byte("/users/42"))
		b.ReportAllocs()
		for b.Loop() {
			lane.Start(route, clock.Now())
			end := clock.Now()
			lane.Finish(Success, end, end)
		}
	}
	b.Run("counted", func(b *testing.B) { record(b, benchRecorder(b)) })
	b.Run("running", func(b *testing.B) {
		r := benchRecorder(b)
		ctx, cancel := context.WithCancel(b.Context())
		defer cancel()
		go r.Run(ctx)
		record(b, r)
	})
	b.Run("clock-only", func(b *testing.B) {
		for b.Loop() {
			clock.Now()
			clock.Now()
		}
	})
	b.Run("hdrhistogram-mutex", func(b *testing.B) {
		h := hdrhistogram.New(1, Highest, 3)
		var mu sync.Mutex
		for b.Loop() {
			start := clock.Now()
			end := clock.Now()
			mu.Lock()
			_ = h.RecordValue(end - start)
			_ = h.RecordValue(end - start)
			mu.Unlock()
		}
	})
}

// BenchmarkRecordSpread records durations known beforehand, of many buckets
// and routes, without the clock.
func BenchmarkRecordSpread(b *testing.B) {
	r := benchRecorder(b)
	lane := r.Lane()
	defer lane.Close()
	var durations [4096]int64
	var routes [10]Route
	for i := range durations {
		durations[i] = 1 + int64(1e6*rand.ExpFloat64())
	}
	for i := range routes {
		routes[i] = r.Route([]byte("GET"), fmt.Appendf(nil, "/route%c", 'a'+i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d := durations[i%len(durations)]
		lane.Start(routes[i%len(routes)], 0)
		lane.Finish(Success, d/2, d)
	}
}

func BenchmarkRecordParallel(b *testing.B) {
	b.Run("recorder", func(b *testing.B) {
		r := benchRecorder(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			lane := r.Lane()
			defer lane.Close()
			for pb.Next() {
				lane.Start(0, clock.Now())
				end := clock.Now()
				lane.Finish(Success, end, end)
			}
		})
	})
	b.Run("hdrhistogram-mutex", func(b *testing.B) {
		clock.Calibrate()
		h := hdrhistogram.New(1, Highest, 3)
		var mu sync.Mutex
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				start := clock.Now()
				end := clock.Now()
				mu.Lock()
				_ = h.RecordValue(end - start)
				_ = h.RecordValue(end - start)
				mu.Unlock()
			}
		})
	})
}

func BenchmarkRoute(b *testing.B) {
	templates, err := NewTemplates([]string{
		"GET /users", "GET /users/{id}", "POST /users", "GET /users/{id}/orders/{order}", "/files/{path...}",
	})
	if err != nil {
		b.Fatal(err)
	}
	plain := benchRecorder(b)
	templated, err := NewRecorder(Config{Templates: templates})
	if err != nil {
		b.Fatal(err)
	}
	full, err := NewRecorder(Config{MaxRoutes: 1})
	if err != nil {
		b.Fatal(err)
	}
	full.Route([]byte("GET"), []byte("/"))
	for _, bb := range []struct {
		name   string
		r      *Recorder
		target string
	}{
		{"collapsed/static", plain, "/api/users"},
		{"collapsed/id", plain, "/users/42/orders/1337?expand=items"},
		{"collapsed/uuid", plain, "/users/550e8400-e29b-41d4-a716-446655440000"},
		{"templated/static", templated, "/users"},
		{"templated/id", templated, "/users/42/orders/1337?expand=items"},
		{"full", full, "/users/42"},
		{"long", full, fmt.Sprintf("/%030000d", 0)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			method, target := []byte("GET"), []byte(bb.target)
			b.ReportAllocs()
			for b.Loop() {
				bb.r.Route(method, target)
			}
		})
	}
}

// busy is a Recorder whose window is full of traffic: ten routes, 3,000
// requests a second of log-normal durations.
func busy(b *testing.B) (r *Recorder, lane *Lane, now *int64) {
	b.Helper()
	now = new(int64)
	r, err := NewRecorder(Config{Now: func() int64 { return *now }})
	if err != nil {
		b.Fatal(err)
	}
	lane = r.Lane()
	b.Cleanup(lane.Close)
	random := rand.New(rand.NewPCG(1, 2))
	for range 60 {
		traffic(r, lane, random)
		*now += int64(time.Second)
		r.Seal(*now)
	}
	return r, lane, now
}

func traffic(r *Recorder, lane *Lane, random *rand.Rand) {
	for i := range 3000 {
		route := r.Route([]byte("GET"), fmt.Appendf(nil, "/route%c", 'a'+i%10))
		end := 1 + int64(5e6*random.ExpFloat64())
		lane.Start(route, 0)
		lane.Finish(Success, end*9/10, end)
	}
}

func BenchmarkSeal(b *testing.B) {
	r, lane, now := busy(b)
	random := rand.New(rand.NewPCG(3, 4))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		traffic(r, lane, random)
		*now += int64(time.Second)
		b.StartTimer()
		r.Seal(*now)
	}
}

func BenchmarkSealIdle(b *testing.B) {
	r, _, now := busy(b)
	for range 10_000 {
		r.Lane()
	}
	b.ReportAllocs()
	for b.Loop() {
		*now += int64(time.Second)
		r.Seal(*now)
	}
}

func BenchmarkSnapshot(b *testing.B) {
	r, _, _ := busy(b)
	b.Run("window", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.Snapshot()
		}
	})
	b.Run("tick", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.SnapshotLast(5 * time.Second)
		}
	})
}

func BenchmarkQuantile(b *testing.B) {
	r, _, _ := busy(b)
	counts := r.Snapshot().Overall.Durations
	b.Run("counts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			counts.Quantile(0.95)
		}
	})
	b.Run("hdrhistogram", func(b *testing.B) {
		h := hdrhistogram.New(1, Highest, 3)
		counts.Each(func(low, _ int64, n uint64) { _ = h.RecordValues(low, int64(n)) })
		for b.Loop() {
			h.ValueAtPercentile(95)
		}
	})
}

func BenchmarkEncodeV2(b *testing.B) {
	r, _, _ := busy(b)
	counts := r.Snapshot().Overall.Durations
	b.ReportAllocs()
	for b.Loop() {
		if _, err := counts.EncodeV2(); err != nil {
			b.Fatal(err)
		}
	}
}
