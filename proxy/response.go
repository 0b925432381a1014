package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"strconv"

	"github.com/valyala/fasthttp"
)

// response is the head of an upstream's response. Its slices are valid until
// more is read from the upstream.
type response struct {
	head    head
	options options
	body    framing
	status  int
	line    []byte // status code and reason phrase
	http11  bool
	events  bool // a text/event-stream
}

var errStatusLine = errors.New("the status line is malformed")

// read parses the head at the front of br, complete and size bytes long, as
// the answer to a request; headOnly says that it was a HEAD.
func (p *response) read(br *bufio.Reader, size, maxFields int, headOnly bool) error {
	raw, err := br.Peek(size)
	if err != nil {
		return err
	}
	if err := p.head.parse(raw, maxFields); err != nil {
		return err
	}
	if err := p.readStatus(); err != nil {
		return err
	}
	if p.body, err = p.head.framing(p.http11); err != nil {
		return err
	}
	p.options.read(&p.head)
	p.events = false
	for i := range p.head.fields {
		if f := &p.head.fields[i]; f.kind == fieldContentType {
			p.events = isEventStream(f.value)
		}
	}
	switch {
	case headOnly, p.informational(), p.status == fasthttp.StatusNoContent, p.status == fasthttp.StatusNotModified:
		p.body = framing{}
	case p.body.kind == noBody:
		p.body.kind = framedByClose
	}
	_, err = br.Discard(size)
	return err
}

func (p *response) readStatus() error {
	s := p.head.start
	if len(s) < len("HTTP/1.1 200") || string(s[:7]) != "HTTP/1." || s[7] != '0' && s[7] != '1' || s[8] != ' ' {
		return errStatusLine
	}
	p.http11 = s[7] == '1'
	p.line = s[9:]
	if len(p.line) > 3 && p.line[3] != ' ' {
		return errStatusLine
	}
	n, ok := parseLength(p.line[:3])
	if !ok || n < 100 {
		return errStatusLine
	}
	p.status = int(n)
	return nil
}

func (p *response) informational() bool { return p.status < 200 }

// persistent reports whether the upstream connection can be used again once
// the body has been read.
func (p *response) persistent() bool {
	return p.body.kind != framedByClose && p.options.persistent(p.http11)
}

func isEventStream(v []byte) bool {
	media, _, _ := bytes.Cut(v, []byte(";"))
	return equalFold(trimBlanks(media), "text/event-stream")
}

// delivery is how a response's body is put on the client's connection.
type delivery struct {
	chunked bool // re-framed in chunks
	closing bool // the connection ends after it
}

// deliver decides the framing towards the client, which is the upstream's own
// wherever the client's protocol version has it.
func (p *response) deliver(q *request, keepAlive bool) delivery {
	d := delivery{closing: !keepAlive}
	if p.body.kind == framedByChunks || p.body.kind == framedByClose {
		d.chunked = q.http11
		d.closing = d.closing || !q.http11
	}
	return d
}

// appendHead appends the head to send to the client: the upstream's fields,
// verbatim and in their order, without the ones of this hop.
func (p *response) appendHead(dst []byte, q *request, d delivery) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(append(dst, p.line...), "\r\n"...)
	wasChunked := false
	for i := range p.head.fields {
		f := &p.head.fields[i]
		switch {
		case f.kind == fieldTransferEncoding:
			wasChunked = true
		case p.options.hopByHop(f):
		case f.kind == fieldContentLength && (p.informational() || p.status == fasthttp.StatusNoContent):
		case f.kind == fieldTrailer && !q.http11:
		default:
			dst = append(append(dst, f.line...), "\r\n"...)
		}
	}
	if p.status == fasthttp.StatusSwitchingProtocols || p.status == fasthttp.StatusUpgradeRequired {
		dst = p.appendUpgrade(dst)
	}
	switch {
	case p.informational():
		return append(dst, "\r\n"...)
	case d.chunked, wasChunked && q.http11 && p.status != fasthttp.StatusNoContent:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	if d.closing {
		dst = append(dst, "Connection: close\r\n"...)
	} else if !q.http11 {
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendUpgrade writes anew, for the next hop, what the upstream switched to or
// asks the client to switch to (RFC 9110 §7.8).
func (p *response) appendUpgrade(dst []byte) []byte {
	for i := range p.head.fields {
		if f := &p.head.fields[i]; f.kind == fieldUpgrade {
			dst = append(dst, "Connection: Upgrade\r\n"...)
			dst = append(append(dst, f.line...), "\r\n"...)
		}
	}
	return dst
}

func appendStatusLine(dst []byte, status int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, fasthttp.StatusMessage(status)...)
	return append(dst, "\r\n"...)
}

// appendSizedBody ends a head with the body's length and appends the body,
// which a HEAD request is not sent.
func appendSizedBody(dst, body []byte, headOnly bool) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\r\n\r\n"...)
	if headOnly {
		return dst
	}
	return append(dst, body...)
}
