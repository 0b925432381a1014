package proxy

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func readHead(raw string, size int) (*head, error) {
	br := bufio.NewReaderSize(strings.NewReader(raw), size)
	n, err := awaitHead(br)
	if err != nil {
		return nil, err
	}
	b, err := br.Peek(n)
	if err != nil {
		return nil, err
	}
	h := new(head)
	return h, h.parse(b, 4)
}

func TestHeadRefusals(t *testing.T) {
	for _, tc := range []struct {
		name, raw string
		want      error
	}{
		{"no fields", "GET / HTTP/1.1\r\n\r\n", nil},
		{"empty value", "GET / HTTP/1.1\r\nA:\r\n\r\n", nil},
		{"obs-text in a value", "GET / HTTP/1.1\r\nA: \xe9t\xe9\r\n\r\n", nil},
		{"most fields allowed", "G / H\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\n\r\n", nil},
		{"one field too many", "G / H\r\nA: 1\r\nA: 2\r\nA: 3\r\nA: 4\r\nA: 5\r\n\r\n", errTooManyFields},
		{"bare LF after the start line", "GET / HTTP/1.1\nA: 1\r\n\r\n", errBareLF},
		{"bare LF after a field", "GET / HTTP/1.1\r\nA: 1\n\r\n", errBareLF},
		{"bare LF at the end", "GET / HTTP/1.1\r\nA: 1\r\n\n", errBareLF},
		{"bare CR in a value", "GET / HTTP/1.1\r\nA: 1\rB: 2\r\n\r\n", errFieldValue},
		{"NUL in a value", "GET / HTTP/1.1\r\nA: 1\x00\r\n\r\n", errFieldValue},
		{"control character in the start line", "GET /\x01 HTTP/1.1\r\n\r\n", errStartLine},
		{"folded field", "GET / HTTP/1.1\r\nA: 1\r\n 2\r\n\r\n", errObsFold},
		{"folded first field", "GET / HTTP/1.1\r\n\tA: 1\r\n\r\n", errObsFold},
		{"blank before the colon", "GET / HTTP/1.1\r\nA : 1\r\n\r\n", errFieldName},
		{"blank in a name", "GET / HTTP/1.1\r\nA B: 1\r\n\r\n", errFieldName},
		{"no name", "GET / HTTP/1.1\r\n: 1\r\n\r\n", errFieldName},
		{"no colon", "GET / HTTP/1.1\r\nA\r\n\r\n", errFieldName},
		{"non-ASCII name", "GET / HTTP/1.1\r\n\xc3\xa9: 1\r\n\r\n", errFieldName},
		{"cut off", "GET / HTTP/1.1\r\nA: 1\r\n", io.ErrUnexpectedEOF},
		{"nothing", "", io.EOF},
		{"larger than the buffer", "GET /" + strings.Repeat("a", 300) + " HTTP/1.1\r\n\r\n", errHeadTooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := readHead(tc.raw, 256); !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
		})
	}
}

func TestHeadKeepsBytes(t *testing.T) {
	h, err := readHead("GET /x HTTP/1.1\r\nhOsT:  a \r\nX-a: 1\r\nx-A: 2\r\n\r\n", 256)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range h.fields {
		lines = append(lines, string(f.line)+"|"+string(f.value))
	}
	want := "hOsT:  a |a\nX-a: 1|1\nx-A: 2|2"
	if got := strings.Join(lines, "\n"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if h.fields[0].kind != fieldHost {
		t.Error("Host was not recognised without regard to case")
	}
}

func TestFraming(t *testing.T) {
	for _, tc := range []struct {
		name   string
		fields string
		http10 bool
		want   framing
		err    error
	}{
		{name: "none", want: framing{}},
		{name: "length", fields: "Content-Length: 5\r\n", want: framing{framedByLength, 5}},
		{name: "length zero", fields: "Content-Length: 0\r\n", want: framing{framedByLength, 0}},
		{name: "largest length", fields: "Content-Length: 9223372036854775807\r\n", want: framing{framedByLength, 1<<63 - 1}},
		{name: "length overflows", fields: "Content-Length: 9223372036854775808\r\n", err: errLengthMalformed},
		{name: "signed length", fields: "Content-Length: +5\r\n", err: errLengthMalformed},
		{name: "negative length", fields: "Content-Length: -5\r\n", err: errLengthMalformed},
		{name: "hexadecimal length", fields: "Content-Length: 0x5\r\n", err: errLengthMalformed},
		{name: "list of lengths", fields: "Content-Length: 5, 5\r\n", err: errLengthMalformed},
		{name: "no digits", fields: "Content-Length:\r\n", err: errLengthMalformed},
		{name: "two lengths", fields: "Content-Length: 5\r\nContent-Length: 5\r\n", err: errLengthTwice},
		{name: "chunks", fields: "Transfer-Encoding: Chunked\r\n", want: framing{kind: framedByChunks}},
		{name: "both", fields: "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", err: errLengthAndChunks},
		{name: "both, other order", fields: "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", err: errLengthAndChunks},
		{name: "other coding", fields: "Transfer-Encoding: gzip, chunked\r\n", err: errTransferEncoding},
		{name: "identity", fields: "Transfer-Encoding: identity\r\n", err: errTransferEncoding},
		{name: "chunked twice", fields: "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", err: errTransferEncoding},
		{name: "chunked with a tail", fields: "Transfer-Encoding: chunked;x\r\n", err: errTransferEncoding},
		{name: "chunks in 1.0", fields: "Transfer-Encoding: chunked\r\n", http10: true, err: errChunksIn10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h, err := readHead("POST / HTTP/1.1\r\n"+tc.fields+"\r\n", 256)
			if err != nil {
				t.Fatal(err)
			}
			got, err := h.framing(!tc.http10)
			if !errors.Is(err, tc.err) || err == nil && got != tc.want {
				t.Errorf("got %v, %v, want %v, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestParseChunkSize(t *testing.T) {
	for _, tc := range []struct {
		line string
		want int64
		ok   bool
	}{
		{"0", 0, true}, {"a", 10, true}, {"FF", 255, true}, {"0001", 1, true}, {"fffffffffffffff", 1<<60 - 1, true},
		{"1;ext", 1, true}, {"1 ;ext=\"v\"", 1, true}, {"1 ", 1, true},
		{"", 0, false}, {" 1", 0, false}, {"+1", 0, false}, {"-1", 0, false}, {"0x1", 0, false}, {"1x", 0, false},
		{"1 2", 0, false}, {"g", 0, false}, {";", 0, false}, {"1;\x00", 0, false}, {"1000000000000000", 0, false}, {"1_0", 0, false},
	} {
		if got, ok := parseChunkSize([]byte(tc.line)); ok != tc.ok || ok && got != tc.want {
			t.Errorf("parseChunkSize(%q) = %d, %v, want %d, %v", tc.line, got, ok, tc.want, tc.ok)
		}
	}
}

func TestOptions(t *testing.T) {
	h, err := readHead("GET / HTTP/1.1\r\nConnection: Upgrade, X-Secret,, keep-alive\r\nconnection: Host,Content-Length\r\nX-SECRET: 1\r\nHost: a\r\n\r\n", 256)
	if err != nil {
		t.Fatal(err)
	}
	var o options
	o.read(h)
	if !o.upgrade || !o.keepAlive || o.close {
		t.Errorf("got %+v", o)
	}
	var kept []string
	for i := range h.fields {
		if !o.hopByHop(&h.fields[i]) {
			kept = append(kept, string(h.fields[i].name))
		}
	}
	if got := strings.Join(kept, " "); got != "Host" {
		t.Errorf("kept %q, want only Host", got)
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]fieldKind{
		"Host": fieldHost, "CONTENT-LENGTH": fieldContentLength, "te": fieldTE, "X-Forwarded-For": fieldXForwardedFor,
		"Content_Length": fieldLookalike, "X_Forwarded_For": fieldLookalike, "x-forwarded_proto": fieldLookalike,
		"Transfer_Encoding": fieldLookalike, "X-Request-Id": fieldOther, "Hosts": fieldOther, "Vie": fieldOther, "X_Forwarded_Fox": fieldOther,
	} {
		if got := kindOf([]byte(name)); got != want {
			t.Errorf("kindOf(%q) = %d, want %d", name, got, want)
		}
	}
}

func TestLists(t *testing.T) {
	for _, tc := range []struct {
		list string
		want bool
	}{
		{"h2c", true}, {"websocket, H2C", true}, {" h2c ,websocket", true}, {",,h2c", true},
		{"", false}, {"websocket", false}, {"h2c2", false}, {"h2c/1", false},
	} {
		if got := lists([]byte(tc.list), "h2c"); got != tc.want {
			t.Errorf("lists(%q) = %v, want %v", tc.list, got, tc.want)
		}
	}
}
