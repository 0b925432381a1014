package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"syscall"
)

// bodyEnd is where a body is copied to, and hears when the copy is about to
// wait. The two implementations are the directions: downstream and upload.
type bodyEnd interface {
	// write blocks until p has been handed to the kernel.
	write(p []byte) error
	// drain blocks until what p holds has been handed to the kernel.
	drain(p *pipe) error
	// reading is called before the copy blocks for more of the source.
	reading() error
}

// bodyCopy moves one message body. What has been read is written before the
// copy waits for more, so events and small chunks pass as they come, and no
// more than one read buffer of the body, or one pipe, is held at a time.
type bodyCopy struct {
	src       *bufio.Reader
	dst       bodyEnd
	framing   framing
	chunked   bool  // frame the body in chunks on the way out
	limit     int64 // most bytes of body; 0 is no limit
	maxFields int   // most trailer fields

	// from is the socket under src, if what is written goes to a socket as it
	// is, unframed: then what is long need not pass through src. Nil otherwise.
	from  syscall.RawConn
	pipes *pipes

	out   []byte // bytes not written yet; a head may be there from the start
	seen  int64
	ended bool // the source has been read to the body's end
}

// exhausted reports whether the source holds no more of the body. It is true
// before the last of it is written.
func (b *bodyCopy) exhausted() bool {
	return b.ended || b.framing.kind == framedByLength && b.seen == b.framing.length
}

// Errors of a copy. Those of the source come as they are.
var (
	errBodyMalformed = errors.New("a chunk of the body is malformed")
	errBodyTooLarge  = errors.New("the body is larger than the limit")
)

// sinkError is an error of the side being written to.
type sinkError struct{ err error }

func (e *sinkError) Error() string { return e.err.Error() }
func (e *sinkError) Unwrap() error { return e.err }

// flushSize is how much of out is collected before it is written although more
// could be read without waiting.
const flushSize = 32 << 10

func (b *bodyCopy) run() error {
	var err error
	switch b.framing.kind {
	case framedByLength:
		err = b.copyLength(b.framing.length)
	case framedByChunks:
		err = b.copyChunks()
	case framedByClose:
		err = b.copyUntilClose()
	}
	if err != nil {
		return err
	}
	b.ended = true
	return b.flush()
}

func (b *bodyCopy) flush() error {
	if len(b.out) == 0 {
		return nil
	}
	err := b.dst.write(b.out)
	b.out = b.out[:0]
	if err != nil {
		return &sinkError{err}
	}
	return nil
}

// more flushes and blocks until the source has buffered more than it has now.
func (b *bodyCopy) more() error {
	if err := b.flush(); err != nil {
		return err
	}
	if err := b.dst.reading(); err != nil {
		return err
	}
	n := b.src.Buffered()
	if n == b.src.Size() {
		return errBodyMalformed // a chunk-size or trailer line without end
	}
	_, err := b.src.Peek(n + 1)
	return err
}

// emit passes on the next n bytes, all of them buffered.
func (b *bodyCopy) emit(n int) error {
	data, err := b.src.Peek(n)
	if err != nil {
		return err
	}
	// Whatever becomes of them, they are read: behind the body begins the next
	// message. The bytes stay valid until more is read.
	if _, err := b.src.Discard(n); err != nil {
		return err
	}
	b.seen += int64(n)
	if b.limit > 0 && b.seen > b.limit {
		return errBodyTooLarge
	}
	if b.chunked {
		b.out = strconv.AppendInt(b.out, int64(n), 16)
		b.out = append(b.out, "\r\n"...)
		b.out = append(append(b.out, data...), "\r\n"...)
	} else if len(b.out)+n <= flushSize/2 {
		b.out = append(b.out, data...)
	} else {
		if err := b.flush(); err != nil {
			return err
		}
		if err := b.dst.write(data); err != nil {
			return &sinkError{err}
		}
	}
	if len(b.out) >= flushSize {
		return b.flush()
	}
	return nil
}

func (b *bodyCopy) copyLength(left int64) error {
	for left > 0 {
		n := min(left, int64(b.src.Buffered()))
		if n == 0 && left >= minSpliced && b.from != nil {
			var err error
			if left, err = b.splice(left); err != nil {
				return unexpected(err)
			}
			continue
		}
		if n == 0 {
			if err := b.more(); err != nil {
				return unexpected(err)
			}
			continue
		}
		if err := b.emit(int(n)); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// splice passes on the next left bytes, none of which is buffered, past the
// read buffer. It returns how many of them it has left to that.
func (b *bodyCopy) splice(left int64) (int64, error) {
	p := b.pipes.acquire()
	if p == nil {
		b.from = nil
		return left, nil
	}
	defer b.pipes.release(p)
	if err := b.flush(); err != nil {
		return left, err
	}
	for left > 0 {
		if err := b.dst.reading(); err != nil {
			return left, err
		}
		if err := p.fill(b.from, left); err == errUnspliced {
			b.from = nil
			return left, nil
		} else if err != nil {
			return left, err
		}
		left -= int64(p.held)
		b.seen += int64(p.held)
		if err := b.dst.drain(p); err != nil {
			return left, &sinkError{err}
		}
	}
	return 0, nil
}

func (b *bodyCopy) copyUntilClose() error {
	for {
		if n := b.src.Buffered(); n > 0 {
			if err := b.emit(n); err != nil {
				return err
			}
			continue
		}
		if err := b.more(); err == io.EOF {
			if b.chunked {
				b.out = append(b.out, "0\r\n\r\n"...)
			}
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (b *bodyCopy) copyChunks() error {
	for {
		line, err := b.line()
		if err != nil {
			return err
		}
		size, ok := parseChunkSize(line)
		if !ok {
			return errBodyMalformed
		}
		if size == 0 {
			return b.copyTrailers()
		}
		if err := b.copyLength(size); err != nil {
			return err
		}
		if line, err = b.line(); err != nil {
			return err
		} else if len(line) != 0 {
			return errBodyMalformed
		}
	}
}

// copyTrailers passes on the trailer section (RFC 9112 §7.1.2) without the
// fields that have no place in one.
func (b *bodyCopy) copyTrailers() error {
	if b.chunked {
		b.out = append(b.out, "0\r\n"...)
	}
	for n := 0; ; n++ {
		line, err := b.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		f, err := parseField(line)
		if err != nil || n == b.maxFields {
			return errBodyMalformed
		}
		if b.chunked && f.kind.mayTrail() {
			b.out = append(append(b.out, line...), "\r\n"...)
		}
	}
	if b.chunked {
		b.out = append(b.out, "\r\n"...)
	}
	return nil
}

// mayTrail reports whether a field may stand in a trailer section: none that
// frames, routes or describes the connection (RFC 9110 §6.5.1).
func (k fieldKind) mayTrail() bool {
	return !k.hopByHop() && !k.forwarding() && k != fieldContentLength && k != fieldHost && k != fieldLookalike && k != fieldTrailer
}

// line returns the next line without its CRLF, valid until the next read.
func (b *bodyCopy) line() ([]byte, error) {
	for {
		buf, _ := b.src.Peek(b.src.Buffered())
		if i := bytes.IndexByte(buf, '\n'); i >= 0 {
			if i == 0 || buf[i-1] != '\r' {
				return nil, errBodyMalformed
			}
			_, err := b.src.Discard(i + 1)
			return buf[:i-1], err
		}
		if err := b.more(); err != nil {
			return nil, unexpected(err)
		}
	}
}

// unexpected turns an end of input inside a body into an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
