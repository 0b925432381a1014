//go:build slow

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// load is clients that ask as fast as they are answered, each on a connection
// of its own, and count every request by how it ended.
type load struct {
	address string
	stop    atomic.Bool
	group   sync.WaitGroup

	sent    atomic.Int64
	ok      atomic.Int64 // complete and 200
	gateway atomic.Int64 // complete and 502, 503 or 504 of the sidecar
	broken  atomic.Int64 // no complete response
	failed  sync.Map     // what else came: text to true
}

func startLoad(t *testing.T, address string, clients int, requests ...string) *load {
	t.Helper()
	l := &load{address: address}
	for c := range clients {
		l.group.Go(func() {
			for i := c; !l.stop.Load(); {
				i = l.connection(i, requests)
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) end() {
	l.stop.Store(true)
	l.group.Wait()
}

// connection asks until a response says that the connection ends, or does not
// come, and returns the number of the next request.
func (l *load) connection(i int, requests []string) int {
	conn, err := net.Dial("tcp", l.address)
	if err != nil {
		l.failed.Store("connect: "+err.Error(), true)
		l.stop.Store(true)
		return i
	}
	defer conn.Close()
	br := bufio.NewReader(conn)
	for again := true; again && !l.stop.Load(); i++ {
		l.sent.Add(1)
		again = l.exchange(conn, br, requests[i%len(requests)])
	}
	return i
}

func (l *load) exchange(conn net.Conn, br *bufio.Reader, request string) (again bool) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		l.failed.Store(err.Error(), true)
		return false
	}
	if _, err := io.WriteString(conn, request); err != nil {
		l.broken.Add(1)
		return false
	}
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		l.broken.Add(1)
		return false
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		l.broken.Add(1)
		return false
	}
	switch {
	case resp.StatusCode == http.StatusOK:
		l.ok.Add(1)
	case resp.Header.Get("Countersign-Error") != "":
		l.gateway.Add(1)
	default:
		l.failed.Store(resp.Status, true)
	}
	return !resp.Close
}

// awaitMore waits until a counter has grown by n.
func awaitMore(t *testing.T, what string, counter *atomic.Int64, n int64) {
	t.Helper()
	from := counter.Load()
	eventually(t, what, func() bool { return counter.Load() >= from+n })
}

// expectAccounted ends the load and compares its counts with the sidecar's:
// what a client saw fail is an error there, one by one.
func (l *load) expectAccounted(t *testing.T, s *sidecar) {
	t.Helper()
	l.end()
	for what := range l.failed.Range {
		t.Errorf("a client saw: %v", what)
	}
	ok, errors := int(l.ok.Load()), int(l.gateway.Load()+l.broken.Load())
	t.Logf("%d requests: %d ok, %d answered with a gateway error, %d broken off",
		l.sent.Load(), ok, l.gateway.Load(), l.broken.Load())
	if sent := int(l.sent.Load()); sent != ok+errors {
		t.Errorf("%d requests were sent, %d have an end", sent, ok+errors)
	}
	want := counts{"success": ok}
	if errors > 0 {
		want["gateway_error"] = errors
	}
	s.expectCounts(t, want)
}

const (
	getSmall = "GET /index.html HTTP/1.1\r\nHost: a\r\n\r\n"
	getLarge = "GET /data.bin HTTP/1.1\r\nHost: a\r\n\r\n"
	post     = "POST /posted HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
	posted   = "location = /posted { return 200 \"thanks\\n\"; }"
)

// TestUpstreamReload: nginx reloading its configuration closes its idle
// connections at any moment. No request that may be repeated fails of that.
func TestUpstreamReload(t *testing.T) {
	n := startNginx(t, "", posted)
	n.fill(t)
	s := startSidecar(t, n.url)
	l := startLoad(t, s.address, 16, getSmall, getSmall, getLarge)
	for range 5 {
		awaitMore(t, "requests should succeed", &l.ok, 500)
		n.signal(t, syscall.SIGHUP)
	}
	awaitMore(t, "requests should succeed after the reloads", &l.ok, 500)
	l.expectAccounted(t, s)
	if l.gateway.Load()+l.broken.Load() != 0 {
		t.Error("requests failed although nginx never stopped serving")
	}
}

// TestUpstreamRestart kills nginx under load, in the middle of large responses
// too, and starts it again.
func TestUpstreamRestart(t *testing.T) {
	n := startNginx(t, "", posted)
	n.fill(t)
	s := startSidecar(t, n.url)
	l := startLoad(t, s.address, 16, getSmall, post, getLarge)
	for range 3 {
		awaitMore(t, "requests should succeed", &l.ok, 300)
		n.kill()
		awaitMore(t, "clients should be told that the upstream is gone", &l.gateway, 100)
		n.run(t)
	}
	awaitMore(t, "requests should succeed after the restarts", &l.ok, 300)
	l.expectAccounted(t, s)
}

// TestRestartUnderWrk does it to a load generator that knows nothing of us:
// what wrk reports as failed, the sidecar has counted. wrk drops the requests
// in flight when its time is over, at most one for each connection.
func TestRestartUnderWrk(t *testing.T) {
	const connections = 32
	n := startNginx(t, "", posted)
	n.fill(t)
	s := startSidecar(t, n.url)
	wrk := start(t, syscall.SIGKILL, tool(t, "wrk", "wrk"), "-t2", "-c"+strconv.Itoa(connections), "-d5s", s.url+"/index.html")
	eventually(t, "wrk should get answers", func() bool { return s.counts(t)["success"] > 1000 })
	n.kill()
	eventually(t, "the failures should be counted", func() bool { return s.counts(t)["gateway_error"] > 100 })
	n.run(t)
	if code := wrk.awaitExit(t); code != 0 {
		t.Fatalf("wrk ended with %d", code)
	}
	out := wrk.printed()
	completed, failed := wrkFigure(t, out, `(\d+) requests in`), wrkFigure(t, out, `Non-2xx or 3xx responses: (\d+)`)
	var c counts
	eventually(t, "the sidecar should have counted all that wrk saw", func() bool {
		c = s.counts(t)
		return s.series(t)["countersign_proxy_client_connections"] == 0 &&
			c["success"]+c["gateway_error"]+c["client_gone"] >= completed
	})
	t.Logf("wrk completed %d requests, %d of them failed; the sidecar counted %v", completed, failed, c)
	// A connection that wrk saw break off is one that the sidecar counted too.
	broken := 0
	if strings.Contains(out, "Socket errors") {
		broken = wrkFigure(t, out, `Socket errors: connect \d+, read (\d+)`)
	}
	if extra := c["gateway_error"] - failed - broken; extra < 0 || extra > connections {
		t.Errorf("wrk saw %d failures and %d connections break, the sidecar counted %d:\n%s", failed, broken, c["gateway_error"], out)
	}
	if extra := c["success"] - (completed - failed); extra < 0 || extra > connections {
		t.Errorf("wrk saw %d requests succeed, the sidecar %d", completed-failed, c["success"])
	}
	if c["client_gone"] > connections {
		t.Errorf("%d clients are said to have left, wrk had %d connections", c["client_gone"], connections)
	}
}

// wrkFigure finds a number in what wrk has printed.
func wrkFigure(t *testing.T, out, pattern string) int {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("wrk printed nothing like %q:\n%s", pattern, out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(fmt.Errorf("wrk printed %q: %w", m[0], err))
	}
	return n
}
