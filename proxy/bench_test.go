package proxy

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/countersign-dev/countersign/histogram"
)

const (
	benchRequest = "GET /users/42?full=1 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n" +
		"Accept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\nConnection: keep-alive\r\n\r\n"
	benchResponse = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT\r\nServer: api\r\nContent-Length: 16\r\n\r\n" +
		`{"name":"a b c"}`
	benchChunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)

// TestNoAllocations: what happens to the bytes of an exchange is done without
// allocating.
func TestNoAllocations(t *testing.T) {
	for name, answer := range map[string]string{"length": benchResponse, "chunks": benchChunked} {
		c := fuzzConn(t)
		var (
			sent     = []byte(benchRequest)
			answered = []byte(answer)
			q        request
			p        response
			got      gathered
			out      []byte
			in, from = bytes.NewReader(nil), bytes.NewReader(nil)
			br, ubr  = bufio.NewReaderSize(in, 4096), bufio.NewReaderSize(from, 4096)
			b        bodyCopy
		)
		q.parsed.DisableNormalizing()
		exchange := func() {
			in.Reset(sent)
			from.Reset(answered)
			br.Reset(in)
			ubr.Reset(from)
			got.Reset()
			size, err := awaitHead(br)
			if err == nil {
				err = q.read(br, size, 64)
			}
			if err != nil {
				t.Fatal(err)
			}
			out = q.appendHead(out[:0], c)
			size, err = awaitHead(ubr)
			if err == nil {
				err = p.read(ubr, size, 64, false)
			}
			if err != nil {
				t.Fatal(err)
			}
			d := p.deliver(&q, true)
			b = bodyCopy{src: ubr, dst: &got, framing: p.body, chunked: d.chunked, maxFields: 64, out: p.appendHead(out[:0], &q, d)}
			if err := b.run(); err != nil {
				t.Fatal(err)
			}
			out = b.out
		}
		exchange()
		if n := testing.AllocsPerRun(1000, exchange); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		if got.String() != answer {
			t.Errorf("got %q", got.String())
		}
	}
}

// canned is an upstream that answers every request on a connection with the
// same bytes, without allocating.
func canned(b *testing.B, response string) string {
	ln := listen(b)
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf, answer := make([]byte, 4096), []byte(response)
				for {
					n, err := conn.Read(buf)
					if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						return
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

// BenchmarkStale is what it costs to look whether a kept upstream connection
// is still good.
func BenchmarkStale(b *testing.B) {
	p, err := New(Config{Upstream: canned(b, benchResponse)})
	if err != nil {
		b.Fatal(err)
	}
	conn, err := p.upstream.dial()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	b.ReportAllocs()
	for b.Loop() {
		if conn.(*upstreamConn).stale() {
			b.Fatal("the connection has ended")
		}
	}
}

// BenchmarkExchange is a GET over loopback sockets, client and upstream
// included; neither of those allocates.
func BenchmarkExchange(b *testing.B) {
	measured := func(c *Config) {
		rec, err := histogram.NewRecorder(histogram.Config{})
		if err != nil {
			b.Fatal(err)
		}
		c.Recorder = rec
	}
	for _, bc := range []struct {
		name, response string
		option         func(*Config)
	}{
		{"measured", benchResponse, measured},
		{"unmeasured", benchResponse, func(c *Config) { c.Recorder = nil }},
		{"chunked", benchChunked, measured},
	} {
		b.Run(bc.name, func(b *testing.B) {
			e := start(b, canned(b, bc.response), bc.option)
			conn, err := net.Dial("tcp", e.addr)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			request, got := []byte(benchRequest), make([]byte, len(bc.response))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(request); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
