package proxy

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// slowest is the largest duration measured so far.
func (e *env) slowest() time.Duration {
	e.rec.Seal(e.sealing())
	var top int64
	for _, r := range e.rec.Totals().Routes {
		r.Durations.Each(func(_, high int64, _ uint64) { top = max(top, high) })
	}
	return time.Duration(top)
}

// deliberate is a wait that a test makes on purpose, to find it in a
// measurement or not; short is what must remain of it when it is not there.
const deliberate, short = 400 * time.Millisecond, 300 * time.Millisecond

func TestOutcomes(t *testing.T) {
	for status, want := range map[int]string{
		200: "success", 204: "success", 304: "success", 404: "client_error", 429: "client_error", 500: "server_error",
		502: "server_error", 503: "server_error", 999: "server_error",
	} {
		e := start(t, always(t, fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status)).url())
		e.dial().get("/")
		e.counted(want + "=1")
	}
}

func TestRoutes(t *testing.T) {
	e := start(t, always(t, okResponse).url())
	c := e.dial()
	for i := range 3 {
		c.get(fmt.Sprintf("/users/%d?x=%d", i, i))
	}
	c.get("http://b/users/9")
	e.counted("success=4")
	if r := e.rec.Totals().Routes; len(r) != 1 || r[0].Name != "GET /users/{id}" {
		t.Errorf("got %+v", r)
	}
}

// TestUploadIsNotLatency: time that the client takes to send its body is not
// the API's.
func TestUploadIsNotLatency(t *testing.T) {
	for _, framing := range []string{"Content-Length: 2", "Transfer-Encoding: chunked"} {
		e := start(t, always(t, okResponse).url())
		c := e.dial()
		for range 10 {
			c.answered("/", 200, "ok")
		}
		first, last := "a", "b"
		if strings.HasPrefix(framing, "T") {
			first, last = "1\r\na\r\n", "1\r\nb\r\n0\r\n\r\n"
		}
		c.send("POST / HTTP/1.1\r\nHost: a\r\n" + framing + "\r\n\r\n" + first)
		time.Sleep(deliberate)
		e.counted("success=10")
		if s := e.rec.Snapshot(); s.InFlight != 1 || s.InFlightIncluded != 0 {
			t.Errorf("%d requests in flight, %d of them slow", s.InFlight, s.InFlightIncluded)
		}
		c.send(last)
		c.reply("POST")
		e.counted("success=11")
		if d := e.slowest(); d > short {
			t.Errorf("%s: measured %v", framing, d)
		}
	}
}

// TestSlowReaderIsNotLatency: time that the client takes to read is not the
// API's, though the API waits for it.
func TestSlowReaderIsNotLatency(t *testing.T) {
	const size = 32 << 20
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size))
		p.send(strings.Repeat("x", size))
	})
	e := start(t, up.url())
	c := e.dial()
	began := time.Now()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.head()
	time.Sleep(2 * time.Second)
	c.take(size)
	took := time.Since(began)
	e.counted("success=1")
	if d := e.slowest(); d > took-time.Second {
		t.Errorf("measured %v of %v, two seconds of which were the client's", d, took)
	}
}

// reluctant is a client that takes its time for every large piece.
type reluctant struct{ net.Conn }

func (c reluctant) Write(p []byte) (int, error) {
	if len(p) > 10_000 {
		time.Sleep(deliberate)
	}
	return c.Conn.Write(p)
}

// TestSlowStartIsNotLatency: the same for what came together with the
// response's head, before the upstream was waited for.
func TestSlowStartIsNotLatency(t *testing.T) {
	taken := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 20001\r\n\r\n" + strings.Repeat("x", 20_000))
		<-taken
		p.send("y")
	})
	e := newEnv(t, up.url())
	e.serve(&wrapped{listen(t), func(c net.Conn) net.Conn { return reluctant{c} }}, e.Serve)
	c := e.dial()
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.head()
	c.take(20_000)
	close(taken)
	c.take(1)
	e.counted("success=1")
	if d := e.slowest(); d > short {
		t.Errorf("measured %v, which was the client's", d)
	}
}

// TestSlowUpstreamIsLatency: time that the upstream takes within its response
// is measured.
func TestSlowUpstreamIsLatency(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
		time.Sleep(deliberate)
		p.send("b")
	})
	e := start(t, up.url())
	e.dial().answered("/", 200, "ab")
	e.counted("success=1")
	if d := e.slowest(); d < deliberate {
		t.Errorf("measured %v", d)
	}
	var ttfb int64
	e.rec.Totals().Routes[0].TTFB.Each(func(_, high int64, _ uint64) { ttfb = high })
	if d := time.Duration(ttfb); d > short {
		t.Errorf("time to the first byte: %v", d)
	}
}

// TestHungUpstreamShows: before any timeout, a request that is not answered is
// in the snapshot with its age.
func TestHungUpstreamShows(t *testing.T) {
	heard := make(chan struct{})
	up := play(t, func(p *peer, _ int) {
		for {
			r := p.request()
			if r == nil {
				return
			}
			if r.URL.Path == "/hang" {
				close(heard)
				p.rest()
				return
			}
			p.send(okResponse)
		}
	})
	e := start(t, up.url())
	c := e.dial()
	for range 10 {
		c.answered("/", 200, "ok")
	}
	e.counted("success=10")
	c.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
	<-heard
	e.until("the hung request to count at its age", func() bool {
		s := e.rec.Snapshot()
		q, _ := s.Overall.Durations.Quantile(1)
		return s.InFlight == 1 && s.InFlightIncluded == 1 && q.High > int64(50*time.Millisecond)
	})
}

// TestEarlyResponse: an answer that ends before its request has no latency.
func TestEarlyResponse(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
		p.rest()
	})
	e := start(t, up.url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	if r := c.reply("POST"); r.StatusCode != 403 || r.body != "no" || !r.Close {
		t.Errorf("got %s %q, close %v", r.Status, r.body, r.Close)
	}
	c.Close()
	e.counted("early_response=1")
}

// TestEventsWhileUploading: the recorder hears of a stream once, although the
// request still comes in.
func TestEventsWhileUploading(t *testing.T) {
	up := play(t, func(p *peer, _ int) {
		p.head()
		p.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		p.take(len("1\r\na\r\n1\r\nb\r\n0\r\n\r\n"))
		p.send("data: 1\n")
	})
	e := start(t, up.url())
	c := e.dial()
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
	c.head()
	c.send("1\r\nb\r\n0\r\n\r\n")
	if got, want := c.take(18), "8\r\ndata: 1\n\r\n0\r\n\r\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.counted("success=1 streams=1")
}

// TestNothingIsMeasured: a proxy without a recorder does the same.
func TestNothingIsMeasured(t *testing.T) {
	e := start(t, always(t, okResponse).url(), func(c *Config) { c.Recorder = nil })
	c := e.dial()
	c.answered("/", 200, "ok")
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
	if r := c.reply("POST"); r.body != "ok" {
		t.Errorf("got %q", r.body)
	}
	c.send("nonsense\r\n\r\n")
	e.refusal(c, "400", faultBadRequest)
	e.counted("")
}

// TestOwnTime: one request in sampleEvery of a kept connection tells of the
// proxy's own time.
func TestOwnTime(t *testing.T) {
	e := start(t, always(t, okResponse).url())
	c := e.dial()
	for range 2 * sampleEvery {
		c.answered("/", 200, "ok")
	}
	e.counted(fmt.Sprintf("%s=%d", histogram.Success, 2*sampleEvery))
	if n := e.rec.Totals().Overhead.Total(); n != 2 {
		t.Errorf("%d samples", n)
	}
}
