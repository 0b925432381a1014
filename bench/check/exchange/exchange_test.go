package exchange

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/proxy"
)

const (
	request  = "GET /users/42 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: application/json\r\n\r\n"
	body     = `{"name":"a b c"}`
	response = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + body
)

func listen(b *testing.B) net.Listener {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ln.Close() })
	return ln
}

// canned answers every request on a connection with the same bytes.
func canned(b *testing.B) string {
	ln := listen(b)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for buf := make([]byte, 4096); ; {
					n, err := conn.Read(buf)
					if err != nil || !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						return
					}
					if _, err := conn.Write([]byte(response)); err != nil {
						return
					}
				}
			}()
		}
	}()
	return ln.Addr().String()
}

// countersign is the sidecar's proxy, measuring.
func countersign(b *testing.B, upstream string) string {
	recorder, err := histogram.NewRecorder(histogram.Config{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := proxy.New(proxy.Config{Upstream: "http://" + upstream, Recorder: recorder})
	if err != nil {
		b.Fatal(err)
	}
	ln := listen(b)
	go func() { _ = p.Serve(ln) }() // ends when it is shut down
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Shutdown(ctx)
	})
	return ln.Addr().String()
}

// plain is a proxy of fasthttp's server and client.
func plain(b *testing.B, upstream string) string {
	client := &fasthttp.HostClient{Addr: upstream, DisablePathNormalizing: true, DisableHeaderNamesNormalizing: true}
	server := &fasthttp.Server{
		DisableHeaderNamesNormalizing: true, NoDefaultServerHeader: true, NoDefaultDate: true,
		Handler: func(ctx *fasthttp.RequestCtx) {
			if err := client.Do(&ctx.Request, &ctx.Response); err != nil {
				ctx.Error(err.Error(), fasthttp.StatusBadGateway)
			}
		},
	}
	ln := listen(b)
	go func() { _ = server.Serve(ln) }() // ends when it is shut down
	b.Cleanup(func() { _ = server.Shutdown() })
	return ln.Addr().String()
}

// first is the first answer, whose length is that of all: some add a date to it.
func first(b *testing.B, conn net.Conn) []byte {
	b.Helper()
	if _, err := io.WriteString(conn, request); err != nil {
		b.Fatal(err)
	}
	var got []byte
	for buf := make([]byte, 4096); !bytes.HasSuffix(got, []byte(body)); {
		n, err := conn.Read(buf)
		if err != nil {
			b.Fatalf("%v after %q", err, got)
		}
		got = append(got, buf[:n]...)
	}
	return got
}

func BenchmarkExchange(b *testing.B) {
	for _, bc := range []struct {
		name  string
		front func(*testing.B, string) string
	}{
		{"direct", func(_ *testing.B, upstream string) string { return upstream }},
		{"countersign", countersign},
		{"fasthttp", plain},
	} {
		b.Run(bc.name, func(b *testing.B) {
			conn, err := net.Dial("tcp", bc.front(b, canned(b)))
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			got := first(b, conn)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write([]byte(request)); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, got); err != nil {
					b.Fatal(err)
				}
			}
			if !bytes.HasSuffix(got, []byte(body)) {
				b.Fatalf("the last answer is %q", got)
			}
		})
	}
}
