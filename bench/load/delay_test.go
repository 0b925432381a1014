//go:build linux

package load

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func address(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }

// TestLatencyIsTheDelay has a server whose delay is known, as it measures each itself. The slow suite has the same with
// a narrow bound.
func TestLatencyIsTheDelay(t *testing.T) {
	const delay = 30 * time.Millisecond
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(delay)
		_, _ = io.WriteString(w, "slow")
	}))
	defer server.Close()
	for _, rate := range []float64{0, 200} {
		r, err := Run(t.Context(), Plan{Addr: address(server), Requests: []Request{{}}, Connections: 16, Rate: rate, For: 400 * time.Millisecond})
		if err != nil || r.Failed > 0 || r.Done < 10 {
			t.Fatalf("%v, %+v", err, r)
		}
		// The histogram keeps three figures.
		if least := time.Duration(r.Latency.Min()); least < delay-delay/500 {
			t.Errorf("rate %v: the least latency is %v, less than the delay of %v", rate, least, delay)
		}
		if median := Quantile(r.Latency, 0.5); median > 2*delay {
			t.Errorf("rate %v: the median is %v of a delay of %v", rate, median, delay)
		}
	}
}

// stalling answers at once, except that everything stands still for a time once so many have been answered.
func stalling(after int64, stall time.Duration) *httptest.Server {
	var mu sync.Mutex
	var n int64
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		if n++; n == after {
			time.Sleep(stall)
		}
		mu.Unlock()
		_, _ = io.WriteString(w, "hello")
	}))
}

// TestStallIsSeen is about coordinated omission: a stall of 300 ms out of 1 s delays the requests that were due in it,
// which an open loop counts and a closed one does not.
func TestStallIsSeen(t *testing.T) {
	const stall = 300 * time.Millisecond
	server := stalling(50, stall)
	defer server.Close()
	plan := Plan{Addr: address(server), Requests: []Request{{}}, Connections: 2, Rate: 200, For: time.Second}
	open, err := Run(t.Context(), plan)
	if err != nil || open.Done != 200 {
		t.Fatalf("%v, %+v", err, open)
	}
	// 60 of 200 requests were due while it stood, so that the one in a hundred waited for nearly all of it.
	if p99 := Quantile(open.Latency, 0.99); p99 < stall*9/10 {
		t.Errorf("P99 of the open loop is %v with a stall of %v", p99, stall)
	}
	if p75 := Quantile(open.Latency, 0.75); p75 < stall/10 {
		t.Errorf("P75 of the open loop is %v with a stall of %v", p75, stall)
	}
	if open.Late < 50 {
		t.Errorf("%d were late of the 60 that were due in the stall", open.Late)
	}
	// The generator itself was there all the time: it is the server that was late.
	if lag := Quantile(open.GeneratorLag, 0.9); lag > stall/3 {
		t.Errorf("P90 of the generator's own lag is %v", lag)
	}

	second := stalling(50, stall)
	defer second.Close()
	plan.Addr, plan.Rate = address(second), 0
	closed, err := Run(t.Context(), plan)
	if err != nil || closed.Failed > 0 {
		t.Fatalf("%v, %+v", err, closed)
	}
	slow := int64(0)
	for _, bar := range closed.Latency.Distribution() {
		if bar.From >= int64(stall)/2 {
			slow += bar.Count
		}
	}
	if slow > 10 || time.Duration(closed.Latency.Max()) < stall*9/10 {
		t.Errorf("%d requests of the closed loop's two connections were in the stall, the longest for %v", slow, time.Duration(closed.Latency.Max()))
	}
}

// TestHangIsCounted: what is never answered has failed, and has the age it had at the end.
func TestHangIsCounted(t *testing.T) {
	release := make(chan struct{})
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) > 20 {
			<-release
		}
		_, _ = io.WriteString(w, "hello")
	}))
	defer server.Close()
	defer close(release)
	r, err := Run(t.Context(), Plan{Addr: address(server), Requests: []Request{{}}, Connections: 4, Rate: 200, For: 500 * time.Millisecond, Grace: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Done != 20 || r.Done+r.Failed != 100 || r.Errors[errUnanswered.Error()] != 4 || r.Errors[errUnsent.Error()] != 76 || r.Sent != 24 {
		t.Errorf("%+v", r)
	}
	if p50 := Quantile(r.Latency, 0.5); r.Latency.TotalCount() != 100 || p50 < 250*time.Millisecond {
		t.Errorf("%d latencies, median %v, and half of them waited for 450 ms to the end", r.Latency.TotalCount(), p50)
	}
}
