package proxy

import (
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
)

// TestResponseFraming sends one response to clients of both versions and looks
// at every byte that arrives.
func TestResponseFraming(t *testing.T) {
	get, get10, head := "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, tc := range []struct {
		name, request, response, want string
		closes                        bool
	}{
		{name: "length", request: get,
			response: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", want: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"},
		{name: "length zero", request: get,
			response: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		{name: "no reason phrase", request: get,
			response: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"},
		{name: "unusual status", request: get,
			response: "HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 999 Denied\r\nContent-Length: 0\r\n\r\n"},
		{name: "chunks", request: get,
			response: "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n3;x=\"y\"\r\nabc\r\n0002 \r\nde\r\n0;z\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"},
		{name: "no chunk", request: get,
			response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "trailers", request: get,
			response: "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\na: 1\r\nContent-Length: 9\r\nHost: x\r\n" +
				"Transfer-Encoding: chunked\r\nConnection: close\r\nVia: x\r\nB:  2\r\n\r\n",
			want: "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\na: 1\r\nB:  2\r\n\r\n"},
		{name: "chunks to 1.0", request: get10, closes: true,
			response: "HTTP/1.1 200 OK\r\nTrailer: A\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: 1\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"},
		{name: "until close", request: get,
			response: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc",
			want:     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
		{name: "until close, empty", request: get,
			response: "HTTP/1.0 200 OK\r\n\r\n", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{name: "until close to 1.0", request: get10, closes: true,
			response: "HTTP/1.0 200 OK\r\n\r\nabc", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"},
		{name: "until close to 1.0 with keep-alive", request: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", closes: true,
			response: "HTTP/1.0 200 OK\r\n\r\nabc", want: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"},
		{name: "length to 1.0 with keep-alive", request: "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
			response: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
			want:     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\na"},
		{name: "client wants to close", request: "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", closes: true,
			response: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
			want:     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na"},
		{name: "HEAD with a length", request: head,
			response: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", want: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"},
		{name: "HEAD with chunks", request: head,
			response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		{name: "HEAD without either", request: head,
			response: "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n", want: "HTTP/1.1 200 OK\r\nX: 1\r\n\r\n"},
		{name: "204", request: get,
			response: "HTTP/1.1 204 No Content\r\n\r\n", want: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "204 with a length", request: get,
			response: "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", want: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "204 with chunks", request: get,
			response: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "304 with a length", request: get,
			response: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", want: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"},
		{name: "304 with chunks", request: get,
			response: "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
			want:     "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			up := play(t, func(p *peer, _ int) {
				p.head()
				p.send(tc.response)
			})
			e := startStill(t, up.url())
			c := e.dial()
			c.send(tc.request)
			if got := c.take(len(tc.want)); got != tc.want {
				t.Errorf("got  %q\nwant %q", got, tc.want)
			}
			if !tc.closes {
				// The connection carries another request, whatever became of the upstream's.
				e.inPhase(phaseIdle, 1)
				c.closeWrite()
			}
			c.closed()
		})
	}
}

// TestRequestFraming sends one request and looks at every byte of its body
// that the upstream gets.
func TestRequestFraming(t *testing.T) {
	const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
	for _, tc := range []struct{ name, request, field, body string }{
		{"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5", "hello"},
		{"length zero", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0", ""},
		{"length in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5", "hello"},
		{"GET with a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", "Content-Length: 1", "x"},
		{"chunks", chunked + "\r\n5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"},
		{"no chunk", chunked + "\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "0\r\n\r\n"},
		{"extensions", chunked + "\r\n1;a=b\r\nx\r\n0;c\r\n\r\n", "Transfer-Encoding: chunked", "1\r\nx\r\n0\r\n\r\n"},
		{"trailers", chunked + "Trailer: A\r\n\r\n1\r\nx\r\n0\r\nA: 1\r\nHost: b\r\nForwarded: for=x\r\nX-Forwarded-For: 9\r\nTE: x\r\nB: 2\r\n\r\n",
			"Trailer: A", "1\r\nx\r\n0\r\nA: 1\r\nB: 2\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			type message struct{ head, body string }
			got := make(chan message, 1)
			up := play(t, func(p *peer, _ int) {
				got <- message{p.head(), p.take(len(tc.body))}
				p.send(okResponse)
			})
			c := start(t, up.url()).dial()
			c.send(tc.request)
			if r := c.reply("POST"); r.StatusCode != 200 {
				t.Fatalf("got %s %s", r.Status, r.body)
			}
			m := <-got
			if m.body != tc.body || !strings.Contains(m.head, "\r\n"+tc.field+"\r\n") {
				t.Errorf("got %q, %q", m.head, m.body)
			}
		})
	}
}

// TestTinyPieces has every byte travel alone.
func TestTinyPieces(t *testing.T) {
	const request = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;e\r\nbc\r\n0\r\nT: 1\r\n\r\n"
	const response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nd\r\n2\r\nef\r\n0\r\n\r\n"
	up := play(t, func(p *peer, _ int) {
		for p.request() != nil {
			for i := range response {
				p.send(response[i : i+1])
			}
		}
	})
	e := start(t, up.url())
	c := e.dial()
	for range 3 {
		for i := range request {
			c.send(request[i : i+1])
		}
		if r := c.reply("POST"); r.body != "def" || r.err != nil {
			t.Fatalf("got %q, %v", r.body, r.err)
		}
	}
	e.counted("success=3")
}

// noise is n bytes that do not repeat soon, and their checksum.
type noise struct {
	left int64
	sum  hash.Hash32
}

func newChecksum() hash.Hash32 { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }

func newNoise(n int64) *noise { return &noise{left: n, sum: newChecksum()} }

var noiseBlock = func() []byte {
	b, seed := make([]byte, 1<<20-3), uint64(1)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = byte(seed >> 56)
	}
	return b
}()

func (r *noise) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], noiseBlock[r.left%(1<<19):])
	r.left -= int64(n)
	r.sum.Write(p[:n])
	return n, nil
}

// TestLargeBodies moves bodies both ways and compares hashes, with memory that
// does not grow with them.
func TestLargeBodies(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := newChecksum()
		if _, err := io.Copy(h, r.Body); err != nil {
			return
		}
		var n int64
		_, _ = fmt.Sscan(r.URL.Query().Get("down"), &n)
		w.Header().Set("X-Up", fmt.Sprintf("%x", h.Sum(nil)))
		if r.URL.Query().Get("sized") != "" {
			w.Header().Set("Content-Length", fmt.Sprint(n))
		}
		w.Header().Set("Trailer", "X-Down")
		down := newNoise(n)
		_, _ = io.Copy(w, down)
		w.Header().Set("X-Down", fmt.Sprintf("%x", down.sum.Sum(nil)))
	}))
	t.Cleanup(up.Close)
	e := start(t, up.URL)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	sizes := []int64{0, 1, flushSize/2 - 1, flushSize, 100_000, 64 << 20}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, n := range sizes {
		for _, sized := range []bool{true, false} {
			body := newNoise(n)
			target := fmt.Sprintf("http://%s/?down=%d", e.addr, n)
			req, _ := http.NewRequest("POST", target, body)
			if sized {
				req.ContentLength = n
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			h := newChecksum()
			got, err := io.Copy(h, resp.Body)
			resp.Body.Close()
			if err != nil || got != n || fmt.Sprintf("%x", h.Sum(nil)) != resp.Trailer.Get("X-Down") {
				t.Errorf("%d bytes down, sized %v: got %d, %v, %s", n, sized, got, err, resp.Trailer.Get("X-Down"))
			}
			if fmt.Sprintf("%x", body.sum.Sum(nil)) != resp.Header.Get("X-Up") {
				t.Errorf("%d bytes up, sized %v: the upstream got something else", n, sized)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 16<<20 {
		t.Errorf("%d MiB were allocated on the way", grown>>20)
	}
	e.counted(fmt.Sprintf("success=%d", 2*len(sizes)))
}

func TestBodyLimit(t *testing.T) {
	limit := func(c *Config) { c.MaxBodyBytes = 10 }
	post := func(fields, body string) string { return "POST / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body }
	for _, tc := range []struct {
		name, request string
		status        int
	}{
		{"length at the limit", post("Content-Length: 10\r\n", "0123456789"), 200},
		{"length above", post("Content-Length: 11\r\n", "01234567890"), 413},
		{"length above, nothing sent", post("Content-Length: 11\r\nExpect: 100-continue\r\n", ""), 413},
		{"chunks at the limit", post("Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), 200},
		{"chunks above", post("Transfer-Encoding: chunked\r\n", "5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n"), 413},
		{"one chunk above", post("Transfer-Encoding: chunked\r\n", "fffffff\r\n"+strings.Repeat("x", 100)), 413},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t, always(t, okResponse).url(), limit)
			c := e.dial()
			c.send(tc.request)
			r := c.reply("POST")
			if r.StatusCode != tc.status {
				t.Errorf("got %s", r.Status)
			}
			if tc.status == 200 {
				c.answered("/", 200, "ok")
				e.counted("success=2")
				return
			}
			if !r.Close || r.Header.Get("Countersign-Error") != "body_too_large" {
				t.Errorf("got %v", r.Header)
			}
			c.closed()
			e.counted("malformed=1")
		})
	}
}

// TestPipelining sends eight requests at once and expects eight answers in
// their order.
func TestPipelining(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, b)
	}))
	t.Cleanup(up.Close)
	e := start(t, up.URL)
	c := e.dial()
	var all, want strings.Builder
	for i := range 8 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
			fmt.Fprintf(&want, "GET /%d \n", i)
		case 1:
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ", i)
			fmt.Fprintf(&want, "POST /%d GET \n", i)
		case 2:
			fmt.Fprintf(&all, "PUT /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nGET \r\n0\r\n\r\n", i)
			fmt.Fprintf(&want, "PUT /%d GET \n", i)
		}
	}
	c.send(all.String())
	var got strings.Builder
	for range 8 {
		got.WriteString(c.reply("GET").body + "\n")
	}
	if got.String() != want.String() {
		t.Errorf("got\n%s, want\n%s", got.String(), want.String())
	}
	e.counted("success=8")
}
