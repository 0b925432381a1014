package load

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

var answers = []struct {
	name, text string
	head       bool
	status     int
	rest       string // after the end
	open       bool   // ends where the connection does
	err        error
	close      bool
}{
	{name: "length", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", status: 200},
	{name: "no body", text: "HTTP/1.1 200 OK\r\ncontent-length:0\r\n\r\n", status: 200},
	{name: "more follows", text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", status: 200, rest: "llo"},
	{name: "bare line feeds", text: "HTTP/1.1 404 \nContent-Length: 1\n\nx", status: 404},
	{name: "chunked", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", status: 200},
	{name: "chunked and compressed", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: 1\r\n\r\nZ", status: 200, rest: "Z"},
	{name: "chunks win over length", text: "HTTP/1.1 200 OK\r\nContent-Length: 999\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", status: 200},
	{name: "HEAD", text: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head: true, status: 200},
	{name: "204", text: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
	{name: "304 with a length", text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", status: 304},
	{name: "100 before", text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 200},
	{name: "to the end of the connection", text: "HTTP/1.1 200 OK\r\n\r\nhello", status: 200, open: true, close: true},
	{name: "close", text: "HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 1\r\n\r\nx", status: 200, close: true},
	{name: "HTTP/1.0", text: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", status: 200, close: true},
	{name: "HTTP/1.0 kept", text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", status: 200},
	{name: "not HTTP", text: "SSH-2.0-OpenSSH_9.2\r\n", err: errNotHTTP},
	{name: "HTTP/2", text: "HTTP/2.0 200 OK\r\n\r\n", err: errNotHTTP},
	{name: "status", text: "HTTP/1.1 2x0 OK\r\n\r\n", err: errNotHTTP},
	{name: "bad length", text: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", err: errLength},
	{name: "long length", text: "HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n", err: errLength},
	{name: "bad chunk", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", err: errChunk},
	{name: "chunk longer than said", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n", err: errChunk},
	{name: "upgrade", text: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", err: errSwitching},
	{name: "endless line", text: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("a", longestLine) + "\r\n", err: errLongLine},
}

// follow reads a text in pieces of a size, as an answer to one request.
func follow(text string, head bool, size int) (a answer, rest string, err error) {
	a.begin(head)
	for left := text; left != ""; {
		n := min(size, len(left))
		after, err := a.read([]byte(left[:n]))
		left = left[n:]
		if err != nil {
			return a, "", err
		}
		if a.stage == atEnd {
			return a, string(after) + left, nil
		}
	}
	return a, "", nil
}

func TestAnswer(t *testing.T) {
	for _, c := range answers {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []int{len(c.text), 1, 2, 7} {
				a, rest, err := follow(c.text, c.head, size)
				if err != c.err {
					t.Fatalf("by %d bytes: %v, want %v", size, err, c.err)
				}
				if err != nil {
					continue
				}
				if (a.stage == untilClose) != c.open || !c.open && a.stage != atEnd {
					t.Fatalf("by %d bytes: it stands at stage %d", size, a.stage)
				}
				if c.open && a.closed() != nil {
					t.Errorf("by %d bytes: it may end with the connection", size)
				}
				if a.status != c.status || rest != c.rest || a.close != c.close {
					t.Errorf("by %d bytes: status %d, rest %q, close %v", size, a.status, rest, a.close)
				}
			}
		})
	}
}

// TestAnswerEndsWhereNetHTTPSays has net/http's reader as the second opinion.
func TestAnswerEndsWhereNetHTTPSays(t *testing.T) {
	agreed := 0
	for _, c := range answers {
		if c.err != nil || strings.HasPrefix(c.text, "HTTP/1.1 1") { // it returns interim answers
			continue
		}
		method := "GET"
		if c.head {
			method = "HEAD"
		}
		text := strings.NewReader(c.text)
		whole := bufio.NewReader(text)
		response, err := http.ReadResponse(whole, &http.Request{Method: method})
		if err != nil {
			continue
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if left := whole.Buffered() + text.Len(); left != len(c.rest) || response.StatusCode != c.status {
			t.Errorf("%s: net/http leaves %d bytes, and the table says %q", c.name, left, c.rest)
		}
		agreed++
	}
	if agreed < 10 {
		t.Errorf("only %d answers were compared", agreed)
	}
}

func TestAnswerCutOff(t *testing.T) {
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for n := range text {
		a, _, err := follow(text[:n], false, 64)
		want := errCut
		if n == 0 {
			want = errNoAnswer
		}
		if err != nil || a.closed() != want {
			t.Errorf("after %d bytes: %v, want %v", n, a.closed(), want)
		}
	}
}

// FuzzAnswer reads the same bytes whole and in pieces: they must end alike.
func FuzzAnswer(f *testing.F) {
	for _, c := range answers {
		f.Add([]byte(c.text), c.head, uint8(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, head bool, size uint8) {
		whole, wholeRest, wholeErr := follow(string(text), head, len(text)+1)
		parts, partsRest, partsErr := follow(string(text), head, int(size)+1)
		if wholeErr != partsErr || wholeRest != partsRest || whole.stage != parts.stage || whole.status != parts.status || whole.close != parts.close || whole.left != parts.left {
			t.Fatalf("whole %+v %q %v, in pieces %+v %q %v", whole, wholeRest, wholeErr, parts, partsRest, partsErr)
		}
		if wholeErr == nil && !bytes.HasSuffix(text, []byte(wholeRest)) {
			t.Fatalf("the rest %q is not the end of %q", wholeRest, text)
		}
	})
}
