//go:build slow

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// haproxyConf and nodeServer are small servers that nobody here wrote.
const haproxyConf = `
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend api
	bind LISTEN
	http-request return status 200 content-type text/plain string "hello"
`

const nodeServer = `
const http = require('http')
const [host, port] = process.argv[2].split(':')
http.createServer((q, r) => { r.end('hello\n') }).listen(port, host, () => console.log('serving'))
`

// stockServers are started with an answer at /hello, and return where they listen.
var stockServers = map[string]func(t *testing.T) string{
	"nginx": func(t *testing.T) string {
		return startNginx(t, "", `keepalive_requests 1000000; location = /hello { return 200 "hello\n"; }`).address
	},
	"haproxy": func(t *testing.T) string {
		address, conf := freeAddress(t), filepath.Join(t.TempDir(), "haproxy.cfg")
		writeText(t, conf, strings.ReplaceAll(haproxyConf, "LISTEN", address))
		start(t, syscall.SIGTERM, tool(t, "haproxy", "haproxy"), "-db", "-f", conf)
		return address
	},
	"node": func(t *testing.T) string {
		address, script := freeAddress(t), filepath.Join(t.TempDir(), "server.js")
		writeText(t, script, nodeServer)
		start(t, syscall.SIGKILL, tool(t, "node", "nodejs"), script, address)
		return address
	},
	"python": func(t *testing.T) string {
		dir := t.TempDir()
		writeText(t, filepath.Join(dir, "hello"), "hello\n")
		return strings.TrimPrefix(startStockPython(t, "HTTP/1.1", dir), "http://")
	},
}

// TestProbeBesideServers has wrk ask servers by others as fast as they answer:
// the probe must have measured what wrk counts, and explain the rest.
func TestProbeBesideServers(t *testing.T) {
	for name, serve := range stockServers {
		for _, attach := range attachments {
			t.Run(name+" by "+attach, func(t *testing.T) {
				address := serve(t)
				eventually(t, name+" should accept connections", func() bool { return accepts("tcp", address) })
				expectAllMeasured(t, "http://"+address+"/hello", attach)
			})
		}
	}
}

// expectAllMeasured runs wrk beside a probe.
func expectAllMeasured(t *testing.T, url, attach string) {
	t.Helper()
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	s := startProbe(t, namespace{}, portOf(t, host), attach)
	out := command(t, "wrk", "-t2", "-c32", "-d1s", url)
	asked := requestsOf(t, out)
	measured := 0
	eventually(t, "the probe should have measured what wrk counts", func() bool {
		measured = s.counts(t).measured()
		return measured >= asked*999/1000
	})
	all := s.counts(t)
	t.Logf("wrk counts %d requests, the probe has measured %d: %v", asked, measured, all)
	// When its time is over wrk leaves the requests under way, one a connection at most.
	if rest := all.total() - all.measured(); rest > 32+asked/1000 {
		t.Errorf("%d requests are unmeasured: %v", rest, all)
	}
}

// total is every request that ended.
func (c counts) total() (n int) {
	for name, of := range c {
		if name != "streams" {
			n += of
		}
	}
	return n
}

var wrkRequests = regexp.MustCompile(`(\d+) requests in`)

// requestsOf is how many answers wrk says it got.
func requestsOf(t *testing.T, out string) int {
	t.Helper()
	m := wrkRequests.FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("wrk does not say how many requests it made:\n%s", out)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil || n == 0 {
		t.Fatalf("wrk made %s requests:\n%s", m[1], out)
	}
	return n
}

func writeText(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
