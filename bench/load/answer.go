package load

import (
	"bytes"
	"errors"
)

// What can be wrong with an answer. The texts are keys of [Result.Errors].
var (
	errNotHTTP   = errors.New("the answer is not HTTP/1.x")
	errLongLine  = errors.New("the answer has a line of more than 64 KiB")
	errLength    = errors.New("the answer has a Content-Length that is no number")
	errChunk     = errors.New("the answer has a chunk whose size is no number")
	errCut       = errors.New("the connection was closed in the middle of an answer")
	errNoAnswer  = errors.New("the connection was closed without an answer")
	errTooMuch   = errors.New("more came than the answer")
	errSwitching = errors.New("the answer switched to another protocol")
)

const longestLine = 64 << 10

type stage uint8

const (
	atStatus stage = iota
	atHeader
	inBody      // left bytes
	atChunkSize // its line
	inChunk     // left bytes
	afterChunk  // the empty line
	atTrailer   // lines up to an empty one
	untilClose  // no length: the end of the connection is the end
	atEnd
)

// answer follows one HTTP/1.x answer through the pieces in which it is read: how far it goes, not what it says.
type answer struct {
	stage   stage
	head    bool // of a HEAD request
	begun   bool // a byte has come
	close   bool // the connection is not to be used again
	chunked bool
	status  int
	length  int64  // Content-Length, -1 without
	left    int64  // bytes of the body or the chunk
	part    []byte // of a line whose end has not come
}

// begin is for the next answer on a connection.
func (a *answer) begin(head bool) {
	*a = answer{head: head, length: -1, part: a.part[:0]}
}

// read takes what came, and returns what of it is after the end of the answer.
func (a *answer) read(p []byte) ([]byte, error) {
	a.begun = a.begun || len(p) > 0
	for len(p) > 0 && a.stage != atEnd {
		switch a.stage {
		case untilClose:
			p = nil
		case inBody, inChunk:
			n := min(a.left, int64(len(p)))
			p = p[n:]
			if a.left -= n; a.left == 0 && a.stage == inBody {
				a.stage = atEnd
			} else if a.left == 0 {
				a.stage = afterChunk
			}
		default:
			line, rest, whole, err := a.line(p)
			if err != nil {
				return nil, err
			}
			if p = rest; !whole {
				return nil, nil
			}
			err = a.take(line)
			a.part = a.part[:0]
			if err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// closed says whether the answer may end where the connection does.
func (a *answer) closed() error {
	switch {
	case a.stage == untilClose:
		a.stage = atEnd
		return nil
	case !a.begun:
		return errNoAnswer
	}
	return errCut
}

// line splits a line off, without its end. One that is not whole is kept until it is.
func (a *answer) line(p []byte) (line, rest []byte, whole bool, err error) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		end = len(p)
	} else {
		whole = true
	}
	if len(a.part)+end > longestLine {
		return nil, nil, false, errLongLine
	}
	if !whole {
		a.part = append(a.part, p...)
		return nil, nil, false, nil
	}
	line, rest = p[:end], p[end+1:]
	if len(a.part) > 0 {
		a.part = append(a.part, line...)
		line = a.part
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, rest, true, nil
}

// take goes on by one line.
func (a *answer) take(line []byte) error {
	switch a.stage {
	case atStatus:
		return a.takeStatus(line)
	case atHeader:
		if len(line) > 0 {
			return a.takeHeader(line)
		}
		return a.endHead()
	case atChunkSize:
		size, _, _ := bytes.Cut(line, []byte{';'})
		n, ok := number(bytes.TrimSpace(size), 16)
		if !ok {
			return errChunk
		}
		a.left, a.stage = n, inChunk
		if n == 0 {
			a.stage = atTrailer
		}
	case afterChunk:
		if len(line) > 0 {
			return errChunk
		}
		a.stage = atChunkSize
	case atTrailer:
		if len(line) == 0 {
			a.stage = atEnd
		}
	}
	return nil
}

func (a *answer) takeStatus(line []byte) error {
	if len(line) < len("HTTP/1.1 200") || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return errNotHTTP
	}
	status, ok := number(line[9:12], 10)
	if !ok || status < 100 {
		return errNotHTTP
	}
	a.status, a.close, a.stage = int(status), line[7] == '0', atHeader
	return nil
}

func (a *answer) takeHeader(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte{':'})
	switch {
	case is(name, "content-length"):
		n, ok := number(bytes.TrimSpace(value), 10)
		if !ok {
			return errLength
		}
		a.length = n
	case is(name, "transfer-encoding"):
		a.chunked = is(lastWord(value), "chunked")
	case is(name, "connection"):
		for word := range bytes.SplitSeq(value, []byte{','}) {
			if word = bytes.TrimSpace(word); is(word, "close") {
				a.close = true
			} else if is(word, "keep-alive") {
				a.close = false
			}
		}
	}
	return nil
}

// endHead decides how the body ends: RFC 9112, section 6.3.
func (a *answer) endHead() error {
	switch {
	case a.status == 101:
		return errSwitching
	case a.status < 200:
		a.begin(a.head)
		a.begun = true
	case a.head || a.status == 204 || a.status == 304:
		a.stage = atEnd
	case a.chunked:
		a.stage = atChunkSize
	case a.length > 0:
		a.left, a.stage = a.length, inBody
	case a.length == 0:
		a.stage = atEnd
	default:
		a.stage, a.close = untilClose, true
	}
	return nil
}

// is compares without regard to case. It looks at the length first, as most names differ there.
func is(word []byte, lower string) bool {
	return len(word) == len(lower) && bytes.EqualFold(word, []byte(lower))
}

func lastWord(value []byte) []byte {
	return bytes.TrimSpace(value[bytes.LastIndexByte(value, ',')+1:])
}

// number reads digits to the base 10 or 16.
func number(digits []byte, base int64) (n int64, ok bool) {
	if len(digits) == 0 || len(digits) > 15 {
		return 0, false
	}
	for _, d := range digits {
		var v int64
		switch {
		case d >= '0' && d <= '9':
			v = int64(d - '0')
		case base == 16 && d|0x20 >= 'a' && d|0x20 <= 'f':
			v = int64(d|0x20-'a') + 10
		default:
			return 0, false
		}
		n = n*base + v
	}
	return n, true
}
