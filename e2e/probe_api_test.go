//go:build slow

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"
)

// apiDelay is how long probedAPI takes before it answers. It is far above what
// scheduling adds, and far below what tests have time for.
const apiDelay = 2 * time.Millisecond

func serveProbedAPI(t *testing.T, ln net.Listener) {
	t.Helper()
	serveAPI(t, ln, probedAPI)
}

// serveAPI answers on ln, which it closes at the end.
func serveAPI(t *testing.T, ln net.Listener, api http.HandlerFunc) {
	t.Helper()
	server := &http.Server{Handler: api, ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
}

// probedAPI answers as the last element of a path says; what is before it is
// only a name for a route.
func probedAPI(w http.ResponseWriter, r *http.Request) {
	kind := path.Base(r.URL.Path)
	if kind != "abort" {
		_, _ = io.Copy(io.Discard, r.Body)
		time.Sleep(apiDelay)
	}
	switch kind {
	case "sized":
		_, _ = io.WriteString(w, "sized\n")
	case "chunks":
		for range 5 {
			_, _ = io.WriteString(w, "one of five chunks\n")
			_ = http.NewResponseController(w).Flush()
		}
	case "zeros":
		n, _ := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64)
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyN(w, zeros{}, n)
	case "empty":
		w.WriteHeader(http.StatusNoContent)
	case "unmodified":
		w.WriteHeader(http.StatusNotModified)
	case "abort": // answers nobody, after it has said that it knows of the request
		w.WriteHeader(http.StatusEarlyHints)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case "reset":
		cutShort(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome of a hundred bytes", true)
	case "close":
		cutShort(w, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nup to the end of the connection\n", false)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// cutShort sends text and ends the connection, with a reset if need be.
func cutShort(w http.ResponseWriter, text string, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, text)
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		time.Sleep(apiDelay) // the reader has read what a reset would throw away
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// visitor is a client that writes its requests itself.
type visitor struct {
	net.Conn
	r *bufio.Reader
}

// visit connects from a namespace.
func visit(t *testing.T, from namespace, address string) *visitor {
	t.Helper()
	conn, err := from.dial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(3 * patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &visitor{conn, bufio.NewReaderSize(conn, 64<<10)}
}

func (v *visitor) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(v, text); err != nil {
		t.Fatal(err)
	}
}

// sendBytewise sends every byte by itself, in a segment of its own, and the last one
// when the others have been read.
func (v *visitor) sendBytewise(t *testing.T, text string) {
	t.Helper()
	for i := range len(text) {
		if i == len(text)-1 {
			time.Sleep(apiDelay)
		}
		v.send(t, text[i:i+1])
	}
}

// receive reads an answer to method whole, and fails the test when it has another status.
func (v *visitor) receive(t *testing.T, method string, status int) {
	t.Helper()
	resp, err := http.ReadResponse(v.r, &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != status {
		t.Fatalf("answered %s, want %d", resp.Status, status)
	}
}

// interim reads an interim response without fields.
func (v *visitor) interim(t *testing.T, status string) {
	t.Helper()
	for _, want := range []string{"HTTP/1.1 " + status + "\r\n", "\r\n"} {
		if line, err := v.r.ReadString('\n'); err != nil || line != want {
			t.Fatalf("read %q, %v instead of %q", line, err, want)
		}
	}
}

// requestOf is a request's head, and its body if it has one.
func requestOf(method, path, body string, fields ...string) string {
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: api.example\r\n", method, path)
	if body != "" {
		fields = append(fields, "Content-Length: "+strconv.Itoa(len(body)))
	}
	for _, f := range fields {
		head += f + "\r\n"
	}
	return head + "\r\n" + body
}

// port of an address.
func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return port
}
