//go:build slow

package e2e

import (
	"net"
	"strings"
	"testing"
	"time"
)

// traffic is something that clients do to a server of probedAPI.
type traffic struct {
	name string
	// answer is the last element of the path that is asked for.
	answer string
	// send makes requests for path, from a namespace to an address.
	send func(t *testing.T, from namespace, address, path string)
	want counts // of a sensor beside the server
	// near says at which ports a probe's P95 is near the proxy's.
	near map[port]bool
	// pieces are what the answers come in. To hand one on to the client that takes a millisecond or more is the
	// client's time to the proxy, which may be that much below the probe at the API's port.
	pieces bool
}

// port is one that a probe can watch.
type port string

const (
	ofProxy port = "the proxy's port" // which clients send to
	ofAPI   port = "the API's port"   // which the proxy sends to
)

// near is what the P95s of two sensors may differ by, besides one bracket.
const near = 50 * time.Microsecond

// A pipelined request reaches the proxy's port while the one before is served. The end of a
// connection comes to the proxy after the last byte.
var (
	anywhere = map[port]bool{ofProxy: true, ofAPI: true}
	atProxy  = map[port]bool{ofProxy: true}
	atAPI    = map[port]bool{ofAPI: true}
)

// trafficKinds is every way of HTTP/1.1 that sensors have to agree on. In three attempts
// a thousand connections open and close.
var trafficKinds = []traffic{
	{"kept alive", "sized", oneByOne(40, "GET", "", 200), counts{"success": 40}, anywhere, false},
	{"pipelined", "sized", pipelined(10, 8), counts{"success": 80}, atAPI, false},
	{"byte by byte", "sized", bytewise(20), counts{"success": 20}, anywhere, false},
	{"chunked answers", "chunks", oneByOne(40, "GET", "", 200), counts{"success": 40}, anywhere, true},
	{"chunked requests", "sized", uploading(20), counts{"success": 20}, anywhere, false},
	{"bodies", "sized", oneByOne(20, "POST", strings.Repeat("body ", 5000), 200), counts{"success": 20}, anywhere, false},
	{"megabytes", "zeros?bytes=1000000", oneByOne(20, "GET", "", 200), counts{"success": 20}, nil, true},
	{"heads", "sized", oneByOne(20, "HEAD", "", 200), counts{"success": 20}, anywhere, false},
	{"no content", "empty", oneByOne(20, "GET", "", 204), counts{"success": 20}, anywhere, false},
	{"not modified", "unmodified", oneByOne(20, "GET", "", 304), counts{"success": 20}, anywhere, false},
	{"not found", "missing", oneByOne(20, "GET", "", 404), counts{"client_error": 20}, anywhere, false},
	{"expectations", "sized", expecting(20), counts{"success": 20}, anywhere, false},
	{"a thousand connections", "sized", untilClose(334, "GET", 200), counts{"success": 334}, anywhere, false},
	{"until the end of the connection", "close", untilClose(20, "GET", 200), counts{"success": 20}, atProxy, false},
	{"clients that leave", "abort", leaving(20), counts{"client_gone": 20}, nil, false},
}

// oneByOne sends n requests over one connection, each after the answer to the one before.
func oneByOne(n int, method, body string, status int, fields ...string) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		v := visit(t, from, address)
		for range n {
			v.send(t, requestOf(method, path, body, fields...))
			v.receive(t, method, status)
		}
		v.Close()
	}
}

func pipelined(batches, depth int) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		v := visit(t, from, address)
		for range batches {
			v.send(t, strings.Repeat(requestOf("GET", path, ""), depth))
			for range depth {
				v.receive(t, "GET", 200)
			}
		}
		v.Close()
	}
}

// bytewise sends every byte of its heads in a segment of its own.
func bytewise(n int) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		v := visit(t, from, address)
		for range n {
			v.sendBytewise(t, requestOf("POST", path, "four", "X-Split: yes"))
			v.receive(t, "POST", 200)
		}
		v.Close()
	}
}

// expecting waits for 100 Continue before it sends its bodies.
func expecting(n int) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		v := visit(t, from, address)
		for range n {
			head, body, _ := strings.Cut(requestOf("PUT", path, "a body that is waited for", "Expect: 100-continue"), "\r\n\r\n")
			v.send(t, head+"\r\n\r\n")
			v.interim(t, "100 Continue")
			v.send(t, body)
			v.receive(t, "PUT", 200)
		}
		v.Close()
	}
}

// uploading sends bodies in chunks, which come as they are made.
func uploading(n int) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		v := visit(t, from, address)
		for range n {
			v.send(t, requestOf("POST", path, "", "Transfer-Encoding: chunked"))
			v.send(t, "5;name=value\r\nhello\r\n")
			time.Sleep(apiDelay)
			v.send(t, "1\r\n \r\n5\r\nworld\r\n0\r\n")
			time.Sleep(apiDelay)
			v.send(t, "X-Trailer: yes\r\n\r\n")
			v.receive(t, "POST", 200)
		}
		v.Close()
	}
}

// leaving sends requests and leaves before their answers, when it knows that they have come.
func leaving(n int) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		for range n {
			v := visit(t, from, address)
			v.send(t, requestOf("GET", path, ""))
			v.interim(t, "103 Early Hints")
			if err := v.Conn.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			v.Close()
		}
	}
}

// untilClose reads answers that end with their connections.
func untilClose(n int, method string, status int) func(*testing.T, namespace, string, string) {
	return func(t *testing.T, from namespace, address, path string) {
		t.Helper()
		for range n {
			v := visit(t, from, address)
			v.send(t, requestOf(method, path, "", "Connection: close"))
			v.receive(t, method, status)
			v.Close()
		}
	}
}
