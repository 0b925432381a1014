package proxy

import (
	"bufio"
	"bytes"
	"errors"

	"github.com/valyala/fasthttp"
)

// request is the head of a client's request. Its slices are valid until more
// is read from the client.
type request struct {
	head    head
	parsed  fasthttp.RequestHeader
	options options
	body    framing

	target  []byte // origin-form, or * for OPTIONS
	host    []byte // from an absolute-form target, else from Host; may be empty in HTTP/1.0
	upgrade []byte // the protocol asked for, nil when none
	http11  bool
	// hostInTarget: the target was in absolute-form and overrides Host.
	hostInTarget   bool
	expectContinue bool
	acceptTrailers bool
}

// refusal is an error in a request that is answered with a fault.
type refusal struct {
	fault fault
	cause error
}

func (r *refusal) Error() string { return r.cause.Error() }

func refuse(f fault, why string) error { return &refusal{f, errors.New(why)} }

// read parses the head at the front of br, complete and size bytes long.
//
// fasthttp parses the request; a second, stricter reading of the same bytes
// looks for whatever the upstream might understand otherwise. Where the two
// disagree the request is refused.
func (q *request) read(br *bufio.Reader, size, maxFields int) error {
	raw, err := br.Peek(size)
	if err != nil {
		return err
	}
	if err := q.head.parse(raw, maxFields); err != nil {
		if errors.Is(err, errTooManyFields) {
			return &refusal{faultHeaderTooLarge, err}
		}
		return &refusal{faultBadRequest, err}
	}
	version := q.head.start[bytes.LastIndexByte(q.head.start, ' ')+1:]
	q.http11 = string(version) == "HTTP/1.1"
	if !q.http11 && string(version) != "HTTP/1.0" {
		if bytes.HasPrefix(version, []byte("HTTP/")) && len(version) == len("HTTP/1.1") {
			return refuse(faultVersion, "unsupported protocol version")
		}
		return refuse(faultBadRequest, "malformed request line")
	}
	if err := q.parsed.Read(br); err != nil {
		return &refusal{faultBadRequest, err}
	}
	return q.understand()
}

// understand fills in what the head means.
func (q *request) understand() error {
	body, err := q.head.framing(q.http11)
	if err != nil {
		return &refusal{faultBadRequest, err}
	}
	q.body = body
	if !agree(body, q.parsed.ContentLength()) {
		return refuse(faultBadRequest, "the end of the body is ambiguous")
	}
	q.options.read(&q.head)
	q.upgrade, q.expectContinue, q.acceptTrailers = nil, false, false
	var host []byte
	hosts := 0
	for i := range q.head.fields {
		f := &q.head.fields[i]
		switch f.kind {
		case fieldHost:
			host, hosts = f.value, hosts+1
		case fieldUpgrade:
			if q.options.upgrade && q.http11 && !lists(f.value, "h2c") {
				q.upgrade = f.value
			}
		case fieldExpect:
			q.expectContinue = q.http11 && equalFold(f.value, "100-continue")
		case fieldTE:
			q.acceptTrailers = q.acceptTrailers || lists(f.value, "trailers")
		}
	}
	if hosts > 1 || hosts == 0 && q.http11 || !validHost(host) {
		return refuse(faultBadRequest, "the request needs one valid Host")
	}
	q.host = host
	return q.readTarget()
}

// agree compares our reading of the body's end with fasthttp's, which says
// -1 for chunks and -2 for none.
func agree(f framing, contentLength int) bool {
	switch f.kind {
	case framedByChunks:
		return contentLength == -1
	case framedByLength:
		return int64(contentLength) == f.length
	default:
		return contentLength == -2 || contentLength == 0
	}
}

func (q *request) readTarget() error {
	method := q.parsed.Method()
	q.target, q.hostInTarget = q.parsed.RequestURI(), false
	if string(method) == "CONNECT" {
		return refuse(faultMethod, "CONNECT is not supported")
	}
	if bytes.IndexByte(q.target, '#') >= 0 {
		return refuse(faultBadRequest, "the request target has a fragment")
	}
	if q.target[0] == '/' || string(q.target) == "*" && string(method) == "OPTIONS" {
		return nil
	}
	scheme, rest, ok := bytes.Cut(q.target, []byte("://"))
	if !ok || !equalFold(scheme, "http") && !equalFold(scheme, "https") {
		return refuse(faultBadRequest, "the request target has no known form")
	}
	end := bytes.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	q.host, q.target, q.hostInTarget = rest[:end], rest[end:], true
	if len(q.host) == 0 || !validHost(q.host) {
		return refuse(faultBadRequest, "the request target has no valid host")
	}
	switch {
	case len(q.target) == 0 && string(method) == "OPTIONS":
		q.target = []byte("*") // RFC 9112 §3.2.4
	case len(q.target) == 0:
		q.target = []byte("/")
	case q.target[0] == '?':
		q.target = append([]byte("/"), q.target...)
	}
	return nil
}

// validHost accepts the characters of uri-host [":" port] (RFC 9110 §7.2).
func validHost(b []byte) bool {
	for _, c := range b {
		if !('0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z') && bytes.IndexByte([]byte("-._~:[]%!$&'()*+,;="), c) < 0 {
			return false
		}
	}
	return true
}

// bodyIn reports whether br holds all of the request's body.
func (q *request) bodyIn(br *bufio.Reader) bool {
	return q.body.empty() || q.body.kind == framedByLength && q.body.length <= int64(br.Buffered())
}

// idempotent says whether the method may be sent twice (RFC 9110 §9.2.2).
func (q *request) idempotent() bool {
	switch string(q.parsed.Method()) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}

// appendHead appends the head to send upstream: the client's fields, verbatim
// and in their order, without the ones of this hop and with our own at the end.
func (q *request) appendHead(dst []byte, c *clientConn) []byte {
	dst = append(dst, q.parsed.Method()...)
	dst = append(dst, ' ')
	dst = append(dst, q.target...)
	dst = append(dst, " HTTP/1.1\r\n"...)
	ownHost := c.proxy.upstreamHost(q)
	if ownHost != nil {
		dst = appendField(dst, "Host: ", ownHost)
	}
	for i := range q.head.fields {
		f := &q.head.fields[i]
		switch {
		case q.options.hopByHop(f), f.kind.forwarding(), f.kind == fieldLookalike:
		case f.kind == fieldHost && ownHost != nil:
		case f.kind == fieldExpect && !q.expectContinue:
		default:
			dst = append(append(dst, f.line...), "\r\n"...)
		}
	}
	if q.body.kind == framedByChunks {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	switch {
	case q.upgrade != nil:
		dst = append(dst, "Connection: Upgrade\r\n"...)
		dst = appendField(dst, "Upgrade: ", q.upgrade)
	case q.acceptTrailers:
		dst = append(dst, "TE: trailers\r\nConnection: TE\r\n"...)
	}
	dst = c.appendForwarded(dst, q)
	return append(dst, "\r\n"...)
}

func appendField[T string | []byte](dst []byte, name string, value T) []byte {
	return append(append(append(dst, name...), value...), "\r\n"...)
}
