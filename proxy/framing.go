package proxy

import (
	"errors"
	"math"
)

// framing says where a message body ends (RFC 9112 §6).
type framing struct {
	kind   framingKind
	length int64 // of framedByLength
}

type framingKind uint8

const (
	noBody framingKind = iota
	framedByLength
	framedByChunks
	framedByClose // responses only: the body ends with the connection
)

// empty reports that no byte of body follows the head.
func (f framing) empty() bool {
	return f.kind == noBody || f.kind == framedByLength && f.length == 0
}

var (
	errLengthAndChunks  = errors.New("the message has both Content-Length and Transfer-Encoding")
	errLengthTwice      = errors.New("the message has more than one Content-Length")
	errLengthMalformed  = errors.New("the Content-Length is not a number")
	errTransferEncoding = errors.New("the Transfer-Encoding is not exactly \"chunked\"")
	errChunksIn10       = errors.New("an HTTP/1.0 message cannot have a Transfer-Encoding")
)

// framing reads the fields that delimit the body. A message without any has
// kind noBody; what that means for a response is for the caller to say.
// Everything that two implementations might delimit differently is an error.
func (h *head) framing(http11 bool) (framing, error) {
	var f framing
	chunked, sized := false, false
	for i := range h.fields {
		fld := &h.fields[i]
		switch fld.kind {
		case fieldContentLength:
			if sized {
				return f, errLengthTwice
			}
			n, ok := parseLength(fld.value)
			if !ok {
				return f, errLengthMalformed
			}
			sized, f = true, framing{framedByLength, n}
		case fieldTransferEncoding:
			if chunked || !equalFold(fld.value, "chunked") {
				return f, errTransferEncoding
			}
			chunked = true
		}
	}
	switch {
	case chunked && !http11:
		return f, errChunksIn10
	case chunked && sized:
		return f, errLengthAndChunks
	case chunked:
		f = framing{kind: framedByChunks}
	}
	return f, nil
}

// parseLength parses 1*DIGIT.
func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return int64(n), n <= math.MaxInt64
}

// parseChunkSize parses the line that begins a chunk: 1*HEXDIG and an optional
// extension, which is dropped. No sign, no prefix, no blank in front.
func parseChunkSize(line []byte) (int64, bool) {
	var n int64
	i := 0
	for ; i < len(line); i++ {
		var d byte
		switch c := line[i]; {
		case '0' <= c && c <= '9':
			d = c - '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			d = c | 0x20 - 'a' + 10
		default:
			return n, i > 0 && validExtension(line[i:])
		}
		if i == 15 {
			return 0, false
		}
		n = n<<4 | int64(d)
	}
	return n, i > 0
}

// validExtension accepts what may follow a chunk's size: blanks, then nothing
// or a semicolon and text.
func validExtension(b []byte) bool {
	b = trimBlanks(b)
	return len(b) == 0 || b[0] == ';' && validText(b)
}
