//go:build slow

package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestExpectation watches both the interim response and the body that follows.
func TestExpectation(t *testing.T) {
	t.Parallel()
	s := startSidecar(t, startPython(t, "HTTP/1.1"))
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, noise(1<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	a := curl(t, "--upload-file", file, "--header", "Expect: 100-continue", "--expect100-timeout", "30", s.url+"/put")
	if a.status != "200 OK" || !slices.Equal(a.interim, []string{"100 Continue"}) {
		t.Errorf("interim %q, then %v", a.interim, &a)
	}
	s.expectCounts(t, counts{"success": 1})
}

// TestChunksAndTrailers looks at the body as it comes over the wire.
func TestChunksAndTrailers(t *testing.T) {
	t.Parallel()
	s := startSidecar(t, startPython(t, "HTTP/1.1"))
	raw := curl(t, "--raw", s.url+"/chunks")
	if !bytes.HasPrefix(raw.body, []byte("4\r\none\n\r\n")) || !bytes.HasSuffix(raw.body, []byte("\r\n0\r\n\r\n")) {
		t.Errorf("the raw body is not chunked: %.40q … %v", raw.body, &raw)
	}
	closed := curl(t, "--raw", s.url+"/close")
	if closed.header("Transfer-Encoding") != "chunked" || !bytes.HasSuffix(closed.body, []byte("\r\n0\r\n\r\n")) {
		t.Errorf("a body that ended with the upstream's connection did not become chunks: %v", &closed)
	}
	trailers := curl(t, "--header", "TE: trailers", s.url+"/trailers")
	if last := trailers.headers[len(trailers.headers)-1]; last != "X-Digest: abc" {
		t.Errorf("the trailer is missing: %v", &trailers)
	}
	old := curl(t, "--http1.0", s.url+"/trailers")
	if old.header("Transfer-Encoding") != "" || !bytes.HasPrefix(old.body, []byte("one\ntwo\n")) || old.header("Connection") != "close" {
		t.Errorf("an HTTP/1.0 client was sent what it cannot read: %v", &old)
	}
	s.expectCounts(t, counts{"success": 4})
}

// TestKeepAlive has curl ask many times over one connection, and looks at how
// many the sidecar needed.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	s := startSidecar(t, startPython(t, "HTTP/1.1"))
	a := curl(t, s.url+"/[1-50]?chunked=no")
	if a.status != "200 OK" {
		t.Fatalf("%v", &a)
	}
	s.expectCounts(t, counts{"success": 50})
	series := s.series(t)
	if n := series["countersign_proxy_client_connections_accepted_total"]; n != 1 {
		t.Errorf("curl made %v connections for 50 requests", n)
	}
	if n := series[`countersign_proxy_upstream_connections{state="idle"}`] + series[`countersign_proxy_upstream_connections{state="active"}`]; n != 1 {
		t.Errorf("the sidecar has %v upstream connections after 50 requests in a row", n)
	}
}

// TestHTTP2IsRefused: curl must come to an end by itself, with an error, and
// the refusal must be counted.
func TestHTTP2IsRefused(t *testing.T) {
	t.Parallel()
	n := startNginx(t, "", "")
	n.fill(t)
	s := startSidecar(t, n.url)
	a := curl(t, "--http2-prior-knowledge", s.url+"/")
	if a.exit == 0 || a.exit == 28 || a.status != "" {
		t.Errorf("curl should have failed at once: %v", &a)
	}
	s.expectCounts(t, counts{"http2": 1})
	if b := curl(t, "--http2", s.url+"/"); b.version != "HTTP/1.1" || b.status != "200 OK" {
		t.Errorf("an offer to upgrade to HTTP/2 should be passed over: %v", &b)
	}
}

// TestUnixSocketUpstream serves from nginx on a unix socket.
func TestUnixSocketUpstream(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "api.sock")
	n := startNginx(t, "", "listen unix:"+socket+";")
	n.fill(t)
	s := startSidecar(t, "unix://"+socket)
	for range 3 {
		a := curl(t, s.url+"/data.bin")
		if a.status != "200 OK" || !bytes.Equal(a.body, noise(3<<20+17)) {
			t.Fatalf("%v", &a)
		}
	}
	n.kill()
	a := curl(t, s.url+"/data.bin")
	if !strings.HasPrefix(a.status, "502 ") || a.header("Countersign-Error") != "upstream_refused" || bytes.Contains(a.body, []byte(socket)) {
		t.Errorf("with the server gone: %v\n%s", &a, a.body)
	}
	s.expectCounts(t, counts{"success": 3, "gateway_error": 1})
}
