package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestMessage has net/http read what is sent.
func TestMessage(t *testing.T) {
	for _, c := range []struct {
		request      Request
		once         bool
		method, host string
		length       int64
		closes       bool
	}{
		{request: Request{}, method: "GET", host: "h:1"},
		{request: Request{Path: "/a?b", Header: []string{"host: other", "Accept:*/*"}}, method: "GET", host: "other"},
		{request: Request{Method: "POST"}, method: "POST", host: "h:1"},
		{request: Request{Method: "PUT", Body: []byte("abc")}, once: true, method: "PUT", host: "h:1", length: 3, closes: true},
		{request: Request{Header: []string{"Connection: keep-alive"}}, once: true, method: "GET", host: "h:1"},
	} {
		m, err := c.request.message("h:1", c.once)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(m.bytes)))
		if err != nil {
			t.Fatalf("%q: %v", m.bytes, err)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(body, c.request.Body) {
			t.Errorf("%q: the body is %q, %v", m.bytes, body, err)
		}
		if r.Method != c.method || r.Host != c.host || r.ContentLength != c.length || r.Close != c.closes {
			t.Errorf("%q is read as %s for %s with %d bytes, close %v", m.bytes, r.Method, r.Host, r.ContentLength, r.Close)
		}
	}
}

func TestWhatCannotBeSent(t *testing.T) {
	good := Plan{Addr: "127.0.0.1:1", Requests: []Request{{}}, Connections: 2, For: time.Second}
	for _, c := range []struct {
		change func(*Plan)
		want   string
	}{
		{func(p *Plan) { p.Requests = nil }, "no request"},
		{func(p *Plan) { p.Requests[0].Path = "a" }, "begins with /"},
		{func(p *Plan) { p.Requests[0].Path = "/a b" }, "no space"},
		{func(p *Plan) { p.Requests[0].Method = "GET\r\n" }, "one word"},
		{func(p *Plan) { p.Requests[0].Header = []string{"a"} }, "not a header"},
		{func(p *Plan) { p.Requests[0].Header = []string{"a: b\r\nc: d"} }, "not a header"},
		{func(p *Plan) { p.Requests[0].Header = []string{"Content-Length: 1"} }, "leave them out"},
		{func(p *Plan) { p.Connections = 0 }, "connections"},
		{func(p *Plan) { p.Threads = 3 }, "3 threads"},
		{func(p *Plan) { p.Rate = -1 }, "-1 requests"},
		{func(p *Plan) { p.For = 0 }, "longer than 0"},
		{func(p *Plan) { p.Addr = "nowhere" }, "HOST:PORT"},
	} {
		p := good
		p.Requests = []Request{{}}
		c.change(&p)
		if _, err := Run(t.Context(), p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestSchedule(t *testing.T) {
	// Two threads of a rate of 3 a second: all intended times, each once, without an error that adds up.
	s := [2]schedule{{start: 1000, interval: 1e9 / 3., first: 0, stride: 2}, {start: 1000, interval: 1e9 / 3., first: 1, stride: 2}}
	for i := range uint64(6) {
		want := 1000 + int64(float64(i)*1e9/3)
		if got := s[i%2].at(i / 2); got-want > 1 || want-got > 1 {
			t.Errorf("request %d at %d, want %d", i, got, want)
		}
	}
	if got, want := s[0].at(3_000_000/2), int64(1000+1e15); got-want > 1 || want-got > 1 {
		t.Errorf("after a million seconds it is %d, want %d", got, want)
	}
}

func TestTailIsWhatTimersAreLateBy(t *testing.T) {
	late := func(i int) int64 { return int64(i%100) * 400 } // up to 40 µs, nine of ten up to 36
	length := firstTail
	for i := range 100_000 {
		length.learn(late(i * 37))
	}
	if length < 32_000 || length > 40_000 {
		t.Errorf("the tail is %v", time.Duration(length))
	}
	for range 10_000 {
		length.learn(int64(time.Second))
	}
	if length != longestTail {
		t.Errorf("the tail is %v of timers that are late by a second", time.Duration(length))
	}
	for range 10_000 {
		length.learn(0)
	}
	if length != tailStep {
		t.Errorf("the tail is %v of timers that are never late", time.Duration(length))
	}
}

func TestQuantileIsOfExactRank(t *testing.T) {
	h := newHistogram()
	if Quantile(h, 0.5) != 0 {
		t.Error("an empty histogram has a quantile")
	}
	for v := range int64(10) {
		_ = h.RecordValue(v + 1)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0, 1}, {0.1, 1}, {0.11, 2}, {0.5, 5}, {0.51, 6}, {0.95, 10}, {1, 10}} {
		if got := Quantile(h, c.q); got != c.want {
			t.Errorf("the quantile of %v is %d, want %d", c.q, got, c.want)
		}
	}
}

func TestRing(t *testing.T) {
	r := newRing(3)
	for lap := range 5 {
		for i := range 3 {
			r.push(i)
		}
		for i := range 3 {
			if got, ok := r.pop(); !ok || got != i {
				t.Fatalf("lap %d: %d %v, want %d", lap, got, ok, i)
			}
		}
		r.push(0) // the next lap begins elsewhere
		r.pop()
	}
	if _, ok := r.pop(); ok {
		t.Error("an empty ring has something")
	}
}
