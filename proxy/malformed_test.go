package proxy

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// rawCase is a case of one of the text files: what is sent, and its outcome.
type rawCase struct{ name, raw, want string }

func readCases(t testing.TB, file string) []rawCase {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var cases []rawCase
	_, text, _ := strings.Cut(string(b), "\n== ")
	for part := range strings.SplitSeq(text, "\n== ") {
		name, lines, _ := strings.Cut(part, "\n")
		lines, want, ok := strings.Cut("\n"+lines, "\n=> ")
		if !ok {
			t.Fatalf("%s: case %q has no outcome", file, name)
		}
		raw, err := unescape(strings.ReplaceAll(lines, "\n", ""))
		if err != nil {
			t.Fatalf("%s: case %q: %v", file, name, err)
		}
		cases = append(cases, rawCase{name, raw, strings.TrimSpace(want)})
	}
	return cases
}

// unescape writes out {text*N} and the escapes.
func unescape(s string) (string, error) {
	var b strings.Builder
	for s != "" {
		if s[0] == '{' {
			if repeated, after, ok := strings.Cut(s[1:], "}"); ok {
				if i := strings.LastIndexByte(repeated, '*'); i > 0 {
					text, err := unescape(repeated[:i])
					n, nerr := strconv.Atoi(repeated[i+1:])
					if err != nil || nerr != nil {
						return "", fmt.Errorf("cannot repeat %q", repeated)
					}
					b.WriteString(strings.Repeat(text, n))
					s = after
					continue
				}
			}
		}
		if s[0] != '\\' {
			b.WriteByte(s[0])
			s = s[1:]
			continue
		}
		if strings.HasPrefix(s, `\0`) {
			s = `\x00` + s[2:]
		}
		c, _, after, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return "", fmt.Errorf("bad escape at %q", s)
		}
		b.WriteByte(byte(c))
		s = after
	}
	return b.String(), nil
}

// witness is an upstream that notes what reaches it.
type witness struct {
	bytes, requests atomic.Int64
}

// Write counts, for a TeeReader.
func (w *witness) Write(p []byte) (int, error) {
	w.bytes.Add(int64(len(p)))
	return len(p), nil
}

func (w *witness) serve(p *peer, _ int) {
	p.br.Reset(io.TeeReader(p.Conn, w))
	for p.request() != nil {
		w.requests.Add(1)
		p.send(okResponse)
	}
}

var statusFaults = map[string]fault{
	"400": faultBadRequest, "408": faultRequestTimeout, "413": faultBodyTooLarge, "431": faultHeaderTooLarge,
	"501": faultMethod, "505": faultVersion,
}

func TestMalformedRequests(t *testing.T) {
	cases := readCases(t, "testdata/malformed.txt")
	if len(cases) < 100 {
		t.Fatalf("only %d cases", len(cases))
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			w := new(witness)
			e := startStill(t, play(t, w.serve).url(), func(c *Config) { c.MaxBodyBytes = 1_000_000 })
			c := e.dial()
			status, how, _ := strings.Cut(tc.want, " ")
			c.send(tc.raw)
			switch {
			case status == "408":
				// What was sent may still be on its way when time first passes.
				e.until("the request to be timed out", func() bool {
					e.pass(e.cfg.HeaderTimeout+time.Second, false)
					return e.Stats().Errors[faultRequestTimeout.String()] == 1
				})
			case how == "cut" || tc.want == "gone":
				c.closeWrite()
			}
			switch {
			case tc.want == "goaway":
				if got, _ := c.rest(); got != string(http2Refusal) {
					t.Errorf("got %q", got)
				}
				e.counted("http2=1")
				e.erred(faultHTTP2, 1)
			case tc.want == "gone":
				c.rest()
				e.counted("client_gone=1")
			default:
				e.refusal(c, status, statusFaults[status])
				e.counted("malformed=1")
			}
			e.until("the upstream connection to be closed", func() bool { return e.Stats().UpstreamConns == 0 })
			if n := w.requests.Load(); n != 0 {
				t.Errorf("the upstream got %d requests", n)
			}
			if n := w.bytes.Load(); n != 0 && how != "after head" && tc.want != "gone" {
				t.Errorf("the upstream got %d bytes", n)
			}
		})
	}
}

// refusal checks one complete answer of the proxy's own, and the end of the
// connection behind it.
func (e *env) refusal(c *peer, status string, f fault) {
	e.t.Helper()
	r := c.reply("GET")
	c.closed()
	if strconv.Itoa(r.StatusCode) != status || !r.Close || r.err != nil {
		e.t.Errorf("got %s, close %v, %v", r.Status, r.Close, r.err)
	}
	checkFault(e.t, r, f)
	e.erred(f, 1)
}

// checkFault checks the answer that the proxy gives in place of the upstream's:
// it names its reason and nothing else.
func checkFault(t testing.TB, r reply, f fault) {
	t.Helper()
	info := faults[f]
	want := fmt.Sprintf("{\"error\":%q,\"status\":%d,\"message\":%q}\n", info.name, info.status, info.message)
	if r.StatusCode != info.status || r.body != want || r.Header.Get("Countersign-Error") != info.name ||
		r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %s %v %q, want %d %q", r.Status, r.Header, r.body, info.status, want)
	}
	for _, leak := range []string{"127.0.0.1", "dial", "read tcp", "EOF", "fasthttp", "Server", "panic"} {
		if s := fmt.Sprint(r.Header, r.body); strings.Contains(s, leak) {
			t.Errorf("%q gives away %q", s, leak)
		}
	}
}

func TestMalformedResponses(t *testing.T) {
	for _, tc := range readCases(t, "testdata/badresponses.txt") {
		t.Run(tc.name, func(t *testing.T) {
			up := play(t, func(p *peer, n int) {
				if n == 1 {
					p.head()
					p.send(tc.raw)
					return
				}
				p.answer("fine")
			})
			e := start(t, up.url())
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if tc.want == "cut" {
				resp, err := http.ReadResponse(c.br, nil)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				if err == nil {
					t.Error("the client got a complete response")
				}
				e.counted("gateway_error=1")
				return
			}
			f := faultUpstreamResponse
			if tc.want == "502 closed" {
				f = faultUpstreamClosed
			}
			checkFault(t, c.reply("GET"), f)
			c.answered("/", 200, "fine")
			e.counted("success=1 gateway_error=1")
			e.erred(f, 1)
		})
	}
}
