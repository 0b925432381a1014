//go:build slow && linux

package load

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// TestLatencyIsTheDelayClosely has a server that spins until its delay is over to the microsecond. Other processes only
// ever add to what is seen, so the best of some runs is what generator and kernel add themselves.
func TestLatencyIsTheDelayClosely(t *testing.T) {
	const delay, bound, runs = 5 * time.Millisecond, 500 * time.Microsecond, 20
	addr := bare(t, func(c net.Conn, r *bufio.Reader) {
		for request(r) {
			due := time.Now().Add(delay)
			time.Sleep(delay - 500*time.Microsecond)
			for time.Now().Before(due) {
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"); err != nil {
				return
			}
		}
	})
	for _, rate := range []float64{100, 0} {
		best := time.Hour
		for range runs {
			r, err := Run(t.Context(), Plan{Addr: addr, Requests: []Request{{}}, Connections: 1, Rate: rate, For: 500 * time.Millisecond})
			if err != nil || r.Failed > 0 {
				t.Fatalf("%v, %+v", err, r)
			}
			if least := time.Duration(r.Latency.Min()); least < delay-delay/500 {
				t.Fatalf("the least latency is %v, less than the delay", least)
			}
			p50, lag := Quantile(r.Latency, 0.5), Quantile(r.GeneratorLag, 0.5)
			t.Logf("rate %v: median %v, of it the generator's lag %v", rate, p50, lag)
			if best = min(best, p50); best < delay+bound {
				break
			}
		}
		if best >= delay+bound {
			t.Errorf("rate %v: the best median of %d runs is %v, more than %v above the delay of %v", rate, runs, best, bound, delay)
		}
	}
}

// TestStallOfASecond is TestStallIsSeen at the length that people know from collectors of garbage and failovers: one
// second in sixty delays more than one request in a hundred.
func TestStallOfASecond(t *testing.T) {
	server := stalling(5000, time.Second)
	defer server.Close()
	plan := Plan{Addr: address(server), Requests: []Request{{}}, Connections: 16, Rate: 500, For: 60 * time.Second}
	open, err := Run(t.Context(), plan)
	if err != nil || open.Done != 30_000 {
		t.Fatalf("%v, %+v", err, open)
	}
	// 500 of 30,000 were due in the second: 1.67 %. The one in a hundred waited for at least 0.67/1.67 of it.
	if p99 := Quantile(open.Latency, 0.99); p99 < 350*time.Millisecond || p99 > 800*time.Millisecond {
		t.Errorf("P99 of the open loop is %v, and 400 ms by arithmetic", p99)
	}
	plan.Rate, plan.For = 0, 15*time.Second
	second := stalling(5000, time.Second)
	defer second.Close()
	plan.Addr = address(second)
	closed, err := Run(t.Context(), plan)
	if err != nil || time.Duration(closed.Latency.Max()) < 900*time.Millisecond {
		t.Fatalf("%v, %+v", err, closed)
	}
	if p99 := Quantile(closed.Latency, 0.99); p99 > 200*time.Millisecond {
		t.Errorf("P99 of the closed loop is %v: it was to leave the stall out", p99)
	}
}
