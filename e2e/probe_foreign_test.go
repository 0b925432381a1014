//go:build slow

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestProbeOfWhatItCannotRead has TLS, HTTP/2, and bytes of other protocols on
// the port: each is seen, none is given a latency, and the health document says so.
func TestProbeOfWhatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		reason string
		serve  func(t *testing.T, ln net.Listener)
		send   func(t *testing.T, host namespace, address string)
	}{
		{"tls", "tls", serveTLS, askTLS},
		{"http2", "http2", serveHTTP2, askHTTP2},
		{"redis", "malformed", serveEcho, say("*1\r\n$4\r\nPING\r\n")},
		{"ssh", "malformed", serveEcho, say("SSH-2.0-OpenSSH_9.2p1\r\n")},
		{"noise", "malformed", serveEcho, say(string(bytes.Repeat([]byte{0, 0xff, 0x80, '\r', '\n'}, 2000)))},
	} {
		for _, attach := range attachments {
			t.Run(c.name+" by "+attach, func(t *testing.T) {
				t.Parallel()
				host := newNamespace(t)
				ln := host.listen(t, "127.0.0.1:0")
				c.serve(t, ln)
				s := startProbe(t, host, portOf(t, ln.Addr().String()), attach)
				for range 5 {
					c.send(t, host, ln.Addr().String())
				}
				eventually(t, "what came should be seen", func() bool { return s.counts(t)[c.reason] >= 5 })
				eventually(t, "the health document should warn of what has no latency", func() bool { return s.health(t).Status == "warning" })
				all := s.counts(t)
				t.Log(all)
				if all.measured() > 0 {
					t.Errorf("what cannot be read was measured: %v", all)
				}
			})
		}
	}
}

// TestProbeOfWhatHangs: a request without an answer is seen while it waits, and its age counts for
// a latency once it is above the others'.
func TestProbeOfWhatHangs(t *testing.T) {
	t.Parallel()
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			host := newNamespace(t)
			ln := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, ln)
			s := startProbe(t, host, portOf(t, ln.Addr().String()), attach)
			oneByOne(10, "GET", "", 200)(t, host, ln.Addr().String(), "/well/sized")
			v := visit(t, host, ln.Addr().String())
			began := time.Now()
			v.send(t, requestOf("GET", "/hanging/abort", ""))
			eventually(t, "the one that hangs should be seen, and count", func() bool {
				m := s.health(t).Metrics
				return m.InFlight == 1 && m.InFlightUsed == 1 && m.SampleSize == 11
			})
			if p95, age := s.health(t).Metrics.OverallP95, milliseconds(time.Since(began)); p95 < 10*milliseconds(apiDelay) || p95 > age+bracket(age) {
				t.Errorf("P95 %v ms, with a request that has waited for %v", p95, age)
			}
			v.Close()
			s.expectCounts(t, counts{"success": 10, "client_gone": 1})
		})
	}
}

func serveTLS(t *testing.T, ln net.Listener) {
	cert, key := newAuthority(t, "authority").issue(t, "api.example")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	serveProbedAPI(t, tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{pair}}))
}

func askTLS(t *testing.T, host namespace, address string) {
	t.Helper()
	conn, err := host.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	secure := tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // whose certificate it is does not matter here
	defer secure.Close()
	for range 3 {
		if _, err := io.WriteString(secure, requestOf("GET", "/sized", "")); err != nil {
			t.Fatal(err)
		}
		if _, err := secure.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
}

func serveHTTP2(t *testing.T, ln net.Listener) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: http.HandlerFunc(probedAPI), Protocols: protocols, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { _ = server.Close() })
}

func askHTTP2(t *testing.T, host namespace, address string) {
	t.Helper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: host.dial}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/sized", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "sized\n" || resp.ProtoMajor != 2 {
		t.Fatalf("%q by %s, %v", body, resp.Proto, err)
	}
}

// serveEcho says back whatever it is told.
func serveEcho(t *testing.T, ln net.Listener) {
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
}

// say sends text over a connection of its own, and reads it back.
func say(text string) func(*testing.T, namespace, string) {
	return func(t *testing.T, host namespace, address string) {
		t.Helper()
		v := visit(t, host, address)
		defer v.Close()
		v.send(t, text)
		back := make([]byte, len(text))
		if _, err := io.ReadFull(v.r, back); err != nil || string(back) != text {
			t.Fatalf("said back otherwise, %v", err)
		}
	}
}

// TestProbeUnderHostileBytes sends what no client would, among it heads without end and absurd lengths, and then
// asks for something: that is measured, with the latency it had.
func TestProbeUnderHostileBytes(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 100_000)
	_, _ = rand.Read(noise) // it never fails
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			host := newNamespace(t)
			ln := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, ln)
			address := ln.Addr().String()
			s := startProbe(t, host, portOf(t, address), attach)
			for _, text := range []string{
				string(noise),
				"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 500_000) + "\r\n\r\n",
				"GET /" + strings.Repeat("y", 500_000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
				"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 50_000),
				"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
				"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
				"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
				"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
				"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
				"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
				"\r\n\r\n\r\n\r\n", "\x00\x00\x00", "GET", "HTTP/1.1 200 OK\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
			} {
				utter(t, host, address, text)
			}
			var took times
			v := visit(t, host, address)
			for range 100 {
				took.add(func() {
					v.send(t, requestOf("GET", "/well/sized", ""))
					v.receive(t, "GET", 200)
				})
			}
			v.Close()
			if p95 := s.awaitRoute(t, "/well/sized", 100); p95 < milliseconds(apiDelay) || p95 > took.p95()+bracket(p95) {
				t.Errorf("the P95 is said to be %v ms, of a server that takes %v, and %v ms by the client", p95, apiDelay, took.p95())
			}
			t.Log(s.counts(t)) // all that was seen is accounted for
			s.expectRSS(t)
		})
	}
}

// utter sends text, whatever the server makes of it.
func utter(t *testing.T, host namespace, address, text string) {
	t.Helper()
	v := visit(t, host, address)
	defer v.Close()
	if err := v.SetDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := io.WriteString(v, text)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatalf("the server does not read: %v", err)
	}
	_ = v.Conn.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, v)
}
