//go:build slow

package e2e

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestQuantilesAgainstRawTimes sends 100,000 requests with known delays and
// compares the reported quantiles with sorted raw times, without any tolerance.
//
// The one true duration of a request, by the sidecar's clock, is not visible
// from outside, but it lies between two times that are: it is at least what
// the upstream measured between the end of the request and the first byte it
// sent, and at most what the client measured around the whole exchange. Both
// hold for every request, so they hold at every rank of the sorted lists, and
// a bracket that contains the true value at a rank must reach into the
// interval between the two lists' values there. (That a bracket contains the
// exact value, to the nanosecond, is what package histogram tests.)
func TestQuantilesAgainstRawTimes(t *testing.T) {
	const requests, clients = 100_000, 48
	served := make([]atomic.Int64, requests)
	address := startDelayer(t, served)
	s := startSidecar(t, "http://"+address, "--window", "2m")

	atMost := make([]time.Duration, requests)
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() { askForDelays(t, s.address, c, clients, atMost) })
	}
	group.Wait()
	if t.Failed() {
		return
	}
	s.expectCounts(t, counts{"success": requests})
	atLeast := make([]time.Duration, requests)
	for i := range served {
		atLeast[i] = time.Duration(served[i].Load())
	}
	var d document
	eventually(t, "the window should hold every request", func() bool {
		d = s.health(t)
		return d.Metrics.SampleSize == requests
	})

	check := func(name string, n int, q, low, high float64, lower, upper []time.Duration) {
		t.Helper()
		rank := int(q*1000)*n/1000 + min(1, int(q*1000)*n%1000) // ⌈q·n⌉
		from, to := milliseconds(lower[rank-1]), milliseconds(upper[rank-1])
		t.Logf("%-12s %5.3f-quantile in [%.4f, %.4f] ms; the true one is in [%.4f, %.4f] ms", name, q, low, high, from, to)
		if low > to || high < from {
			t.Errorf("%s: the %v-quantile is said to be in [%v, %v] ms and cannot be: it is in [%v, %v] ms", name, q, low, high, from, to)
		}
	}
	lower, upper := slices.Sorted(slices.Values(atLeast)), slices.Sorted(slices.Values(atMost))
	m := d.Metrics
	check("overall", requests, 0.95, m.Bracket[0], m.Bracket[1], lower, upper)
	// Of the others the highest value of the bracket is reported, which is
	// less than 0.1 % wide.
	check("overall", requests, 0.50, m.P50*0.999, m.P50, lower, upper)
	check("overall", requests, 0.99, m.P99*0.999, m.P99, lower, upper)
	check("overall", requests, 1.00, m.Max*0.999, m.Max, lower, upper)
	if m.Bracket[1] > m.Bracket[0]*1.001 || m.OverallP95 < m.Bracket[0] || m.OverallP95 > m.Bracket[1] {
		t.Errorf("the P95 is %v in the bracket %v", m.OverallP95, m.Bracket)
	}
	if len(d.Routes) != routes {
		t.Fatalf("%d routes are reported, %d were used", len(d.Routes), routes)
	}
	for _, r := range d.Routes {
		lower, upper := ofRoute(r.Route, atLeast), ofRoute(r.Route, atMost)
		if r.SampleSize != len(lower) {
			t.Fatalf("%s has %d samples, %d were sent", r.Route, r.SampleSize, len(lower))
		}
		check(r.Route, len(lower), 0.95, r.P95*0.999, r.P95, lower, upper)
	}
}

// routes is how many routes the requests are spread over.
const routes = 4

func routeOf(request int) string { return "/" + string(rune('a'+request%routes)) }

// ofRoute returns the sorted times of the requests of a reported route.
func ofRoute(name string, all []time.Duration) []time.Duration {
	var times []time.Duration
	for i, d := range all {
		if strings.HasPrefix(name, "GET "+routeOf(i)) {
			times = append(times, d)
		}
	}
	slices.Sort(times)
	return times
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// delayOf is the known delay of a request: most are short, one in ten is long,
// with a tail.
func delayOf(request int) time.Duration {
	r := rand.New(rand.NewPCG(uint64(request), 95))
	if r.IntN(10) == 0 {
		return time.Duration(10_000+r.ExpFloat64()*5_000) * time.Microsecond
	}
	return time.Duration(500+r.ExpFloat64()*2_000) * time.Microsecond
}

// startDelayer answers GET /…/<number> after that request's delay, and notes
// how many nanoseconds it took, from having read the request to beginning to answer.
func startDelayer(t *testing.T, took []atomic.Int64) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return // closed by the cleanup
			}
			go serveDelays(conn, took)
		}
	}()
	return ln.Addr().String()
}

func serveDelays(conn net.Conn, took []atomic.Int64) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(br)
		if err != nil {
			return // the sidecar has closed the connection
		}
		begin := time.Now()
		number, err := strconv.Atoi(req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:])
		if err != nil || number >= len(took) {
			return
		}
		time.Sleep(delayOf(number))
		took[number].Store(int64(time.Since(begin)))
		if _, err := conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")); err != nil {
			return
		}
	}
}

// askForDelays sends every request whose number is first modulo step, one
// after another on one connection, and notes how long each took.
func askForDelays(t *testing.T, address string, first, step int, took []time.Duration) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for i := first; i < len(took); i += step {
		begin := time.Now()
		if _, err := fmt.Fprintf(conn, "GET %s/%d HTTP/1.1\r\nHost: a\r\n\r\n", routeOf(i), i); err != nil {
			t.Error(err)
			return
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("request %d: %v %v", i, resp, err)
			return
		}
		if _, err := br.Discard(int(resp.ContentLength)); err != nil {
			t.Error(err)
			return
		}
		took[i] = time.Since(begin)
	}
}
