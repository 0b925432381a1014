package proxy

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

// forwarded sends a raw request through a proxy and returns the head that the
// upstream got, without the lines that a proxy adds for the hop it is.
func forwarded(t *testing.T, request string, options ...func(*Config)) (head string) {
	t.Helper()
	heads := make(chan string, 1)
	up := play(t, func(p *peer, _ int) {
		heads <- p.head()
		p.send(okResponse)
	})
	c := start(t, up.url(), options...).dial()
	c.send(request)
	if r := c.reply("GET"); r.StatusCode != 200 {
		t.Fatalf("got %s %s", r.Status, r.body)
	}
	return <-heads
}

func withoutHops(head string) string {
	var kept []string
	for _, line := range strings.SplitAfter(head, "\r\n") {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via":
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}

func TestRequestsAreForwardedVerbatim(t *testing.T) {
	for _, tc := range []struct{ name, request, want string }{
		{"case, order and blanks of fields",
			"GET /a HTTP/1.1\r\nhOST: a\r\nX-b:  2 \r\nx-A: 1\r\nX-b:\t3\r\nCookie: a=1; b=2\r\n\r\n",
			"GET /a HTTP/1.1\r\nhOST: a\r\nX-b:  2 \r\nx-A: 1\r\nX-b:\t3\r\nCookie: a=1; b=2\r\n\r\n"},
		{"bytes of the target",
			"GET //x/%2F/../.;p=1/%zz/\xc3\xa9?a;b&c=%20+&& HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET //x/%2F/../.;p=1/%zz/\xc3\xa9?a;b&c=%20+&& HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"obs-text in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xe9\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xe9\r\n\r\n"},
		{"empty values", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \r\n\r\n"},
		{"unknown method", "PURGE /x HTTP/1.1\r\nHost: a\r\n\r\n", "PURGE /x HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"no type is made up", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"empty lines in front", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"absolute-form overrides Host", "GET HTTP://B:81/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y HTTP/1.1\r\nHost: B:81\r\n\r\n"},
		{"absolute-form without a path", "GET http://b?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?y HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"absolute-form with nothing after", "GET http://b HTTP/1.1\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"the server as a whole", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"the server as a whole, absolute", "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"},
		{"Host with a port and IPv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"},
		{"HTTP/1.0 becomes 1.1", "GET / HTTP/1.0\r\nHost: a\r\nX: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\r\n"},
		{"hop-by-hop fields",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Secret ,,Keep-Alive\r\nconnection: X-Other\r\nKeep-Alive: 1\r\n" +
				"Proxy-Connection: close\r\nX-SECRET: 1\r\nx-other: 2\r\nTE: gzip\r\nX-Kept: 3\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 3\r\n\r\n"},
		{"Host and framing cannot be nominated away",
			"POST / HTTP/1.1\r\nHost: a\r\nConnection: Host, Content-Length\r\nContent-Length: 1\r\n\r\nx",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"},
		{"TE: trailers is our own wish", "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip;q=0.5, trailers\r\nConnection: TE\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n\r\n"},
		{"h2c is not asked for",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"h2c among others is not either", "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"names that a CGI would take for others",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent_Length: 9\r\nX_Forwarded_For: 1.1.1.1\r\nX_Kept: 1\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX_Kept: 1\r\n\r\n"},
		{"Upgrade without Connection", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"Upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		{"Upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Key: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := withoutHops(forwarded(t, tc.request)); got != tc.want {
				t.Errorf("the upstream got\n%q, want\n%q", got, tc.want)
			}
		})
	}
}

func TestHostPolicy(t *testing.T) {
	rewrite := func(c *Config) { c.UpstreamHost = "api.internal" }
	for _, tc := range []struct {
		name, request, want string
		option              func(*Config)
	}{
		{"rewritten", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "api.internal", rewrite},
		{"rewritten, absolute-form", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "api.internal", rewrite},
		{"rewritten, none sent", "GET / HTTP/1.0\r\n\r\n", "api.internal", rewrite},
		{"none sent", "GET / HTTP/1.0\r\n\r\n", "127.0.0.1:", func(*Config) {}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head := forwarded(t, tc.request, tc.option)
			if !strings.Contains(head, "\r\nHost: "+tc.want) || strings.Count(strings.ToLower(head), "\r\nhost:") != 1 {
				t.Errorf("the upstream got %q", head)
			}
		})
	}
}

func TestForwardingFields(t *testing.T) {
	trusted := func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	others := func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }
	claims := "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\n" +
		"Forwarded: for=1.1.1.1\r\nVia: 1.1 one\r\nVia: 1.0 two\r\n"
	for _, tc := range []struct {
		name, request string
		option        func(*Config)
		want          []string
	}{
		{"first hop", "GET / HTTP/1.1\r\nHost: a:1\r\n\r\n", others, []string{
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a:1",
			`Forwarded: for=127.0.0.1;proto=http;host="a:1"`, "Via: 1.1 countersign"}},
		{"claims of a stranger", "GET / HTTP/1.1\r\nHost: a\r\n" + claims + "\r\n", others, []string{
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a",
			`Forwarded: for=127.0.0.1;proto=http;host="a"`, "Via: 1.1 one, 1.0 two, 1.1 countersign"}},
		{"claims of a trusted proxy", "GET / HTTP/1.1\r\nHost: a\r\n" + claims + "\r\n", trusted, []string{
			"X-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: h",
			`Forwarded: for=1.1.1.1, for=127.0.0.1;proto=http;host="a"`, "Via: 1.1 one, 1.0 two, 1.1 countersign"}},
		{"nominated claims", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", trusted, []string{
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a",
			`Forwarded: for=127.0.0.1;proto=http;host="a"`, "Via: 1.1 countersign"}},
		{"HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", others, []string{
			"X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "Forwarded: for=127.0.0.1;proto=http", "Via: 1.0 countersign"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lines := strings.Split(strings.TrimSuffix(forwarded(t, tc.request, tc.option), "\r\n\r\n"), "\r\n")
			got := lines[len(lines)-len(tc.want):]
			if strings.Join(got, "\n") != strings.Join(tc.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
			if n := strings.Count(strings.ToLower(strings.Join(lines, "\n")), "\nx-forwarded-for:"); n != 1 {
				t.Errorf("%d X-Forwarded-For lines", n)
			}
		})
	}
}

func TestOrigin(t *testing.T) {
	for _, tc := range []struct {
		name            string
		addr            net.Addr
		tls             bool
		addrs, forwards string
	}{
		{"IPv6", &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 1}, true, "2001:db8::1", `for="[2001:db8::1]";proto=https`},
		{"IPv6 with a zone", &net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, false, "fe80::1", `for="[fe80::1]";proto=http`},
		{"IPv4 in IPv6", &net.TCPAddr{IP: net.ParseIP("::ffff:10.0.0.1")}, false, "10.0.0.1", "for=10.0.0.1;proto=http"},
		{"no address", &net.UnixAddr{Name: "@"}, false, "unknown", "for=unknown;proto=http"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := newOrigin(tc.addr, tc.tls, nil)
			if string(o.addr) != tc.addrs || string(o.forwarded) != tc.forwards || o.trusted {
				t.Errorf("got %s, %s, trusted %v", o.addr, o.forwarded, o.trusted)
			}
		})
	}
}

func TestResponsesAreForwardedVerbatim(t *testing.T) {
	const up = "HTTP/1.0 418 I'm a  teapot\r\nseT-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nx:  2 \r\nConnection: X-Secret, keep-alive\r\n" +
		"X-Secret: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok"
	const want = "HTTP/1.1 418 I'm a  teapot\r\nseT-Cookie: a=1\r\nX: 1\r\nSet-Cookie: b=2\r\nx:  2 \r\nContent-Length: 2\r\n"
	e := start(t, always(t, up).url())
	c := e.dial()
	for _, tc := range []struct{ request, added string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""},
		{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Connection: keep-alive\r\n"},
		{"GET / HTTP/1.0\r\n\r\n", "Connection: close\r\n"},
	} {
		c.send(tc.request)
		if got := c.head() + c.take(2); got != want+tc.added+"\r\nok" {
			t.Errorf("got  %q\nwant %q", got, want+tc.added+"\r\nok")
		}
	}
	c.closed()
	e.counted("client_error=3")
}
