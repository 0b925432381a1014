package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/countersign-dev/countersign/roots"
)

// upstreamConn is one connection to the upstream, pooled by fasthttp's
// HostClient and used by one exchange at a time.
type upstreamConn struct {
	net.Conn
	raw   syscall.RawConn // nil when there is no socket underneath
	plain bool            // what is read and written is the socket itself
	used  bool            // has carried an exchange before

	peek func(fd uintptr) bool // look, bound once
	gone bool                  // what look saw

	// While the read side of the socket is held, to ask over a plain connection.
	step func(fd uintptr) bool // stepAsk, bound once
	fd   int                   // noSocket unless it may be read without waiting
	x    *exchange             // what is asked
	n    int                   // bytes of the request that have been sent
	err  error
}

// upstream connects to the API. Safe for concurrent use.
type upstream struct {
	addr    upstreamAddr
	timeout time.Duration
	pool    *fasthttp.HostClient
	retries atomic.Uint64

	connects  atomic.Uint64 // connections made
	connectNs atomic.Int64  // how long that took in all
}

func newUpstream(cfg *Config, addr upstreamAddr) *upstream {
	u := &upstream{addr: addr, timeout: cfg.ConnectTimeout}
	u.pool = &fasthttp.HostClient{
		Addr:                addr.address,
		Dial:                func(string) (net.Conn, error) { return u.dial() },
		MaxConns:            cfg.MaxUpstreamConns,
		MaxConnWaitTimeout:  cfg.ConnectTimeout,
		MaxIdleConnDuration: cfg.UpstreamIdle,
		ReadBufferSize:      cfg.MaxHeaderBytes,
		ConnPoolStrategy:    fasthttp.LIFO,
	}
	return u
}

// dial connects, and counts the connections that came about.
func (u *upstream) dial() (net.Conn, error) {
	began := time.Now()
	conn, err := u.connect()
	if err == nil {
		u.connects.Add(1)
		u.connectNs.Add(int64(time.Since(began)))
	}
	return conn, err
}

func (u *upstream) connect() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), u.timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, u.addr.network, u.addr.address)
	if err != nil {
		return nil, err
	}
	uc := &upstreamConn{Conn: conn, raw: rawConn(conn), fd: noSocket}
	uc.peek, uc.step = uc.look, uc.stepAsk
	if u.addr.tls == nil {
		uc.plain = uc.raw != nil
		return uc, nil
	}
	if u.addr.tls.RootCAs == nil {
		roots.Load()
	}
	secure := tls.Client(conn, u.addr.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, &handshakeError{err}
	}
	uc.Conn = secure
	return uc, nil
}

// handshakeError tells a failed TLS handshake from a failed connection.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// connectFault names what kept the pool from giving a connection.
func connectFault(err error) fault {
	var hs *handshakeError
	var ne net.Error
	switch {
	case errors.Is(err, fasthttp.ErrNoFreeConns):
		return faultUpstreamBusy
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &ne) && ne.Timeout():
		return faultUpstreamConnectTimeout
	case errors.As(err, &hs):
		return certificateFault(hs.err)
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return faultUpstreamRefused
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return faultUpstreamNotFound
	}
	return faultUpstreamUnreachable
}

// certificateFault tells a certificate that is refused from a handshake that
// fails for another reason.
func certificateFault(err error) fault {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return faultUpstreamExpired
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return faultUpstreamCertificate
	}
	return faultUpstreamTLS
}

// answerFault names why an upstream connection broke before the answer was whole.
func answerFault(err error) fault {
	if errors.Is(err, syscall.ECONNRESET) {
		return faultUpstreamReset
	}
	return faultUpstreamClosed
}

// stale reports whether the upstream has closed the idle connection or sent
// something unasked, as far as is known here. Whatever it sent would be taken
// for the answer to the next request. It costs a system call and never blocks.
func (uc *upstreamConn) stale() bool {
	if uc.raw == nil {
		return false
	}
	err := uc.raw.Read(uc.peek)
	return uc.gone || err != nil || uc.holdsRecord()
}

// holdsRecord reports whether the TLS connection has read more from its socket
// than the records asked for. A deadline in the past has it give what it has.
func (uc *upstreamConn) holdsRecord() bool {
	secure, ok := uc.Conn.(*tls.Conn)
	if !ok {
		return false
	}
	var b [1]byte
	_ = secure.SetReadDeadline(longAgo)
	_, err := secure.Read(b[:])
	return !errors.Is(err, os.ErrDeadlineExceeded) || secure.SetReadDeadline(time.Time{}) != nil
}

func (uc *upstreamConn) look(fd uintptr) bool {
	uc.gone = glance(int(fd)) != errAgain
	return true
}

// errStale says that an idle connection was found closed, or with something
// that nobody had asked for. Nothing has been sent.
var errStale = errors.New("the idle connection is of no more use")

// Read implements io.Reader for the connection's buffer. While the read side is
// held it does not wait.
func (uc *upstreamConn) Read(p []byte) (int, error) {
	if uc.fd == noSocket {
		return uc.Conn.Read(p)
	}
	return receive(uc.fd, p)
}

// ask sends what there is of the request of x, and sees to a buffer for the
// answer. Where the request is whole and the connection plain, it waits for the
// answer's first bytes as well.
func (uc *upstreamConn) ask(x *exchange) error {
	out := x.c.bufs.out
	if x.asksAtOnce(uc) {
		uc.x, uc.n, uc.err = x, 0, nil
		err := uc.raw.Read(uc.step)
		uc.x, uc.fd = nil, noSocket
		if err == nil {
			err = uc.err
		}
		if err != nil || uc.n == len(out) {
			return err
		}
		out = out[uc.n:]
	}
	if _, err := uc.Conn.Write(out); err != nil {
		return err
	}
	x.asked(uc)
	x.ubr = x.c.proxy.upstream.pool.AcquireReader(uc)
	return nil
}

// stepAsk sends the request when it is first called, and reads when it is
// called again, both on the socket fd, whose read side is held. It returns
// true when it has read something, and when the rest of the request has to wait
// for room.
func (uc *upstreamConn) stepAsk(fd uintptr) bool {
	x := uc.x
	out := x.c.bufs.out
	if uc.n < len(out) {
		if glance(int(fd)) != errAgain {
			// A new connection may have been refused with an answer.
			if x.reused {
				uc.err = errStale
			}
			return true
		}
		n, err := send(int(fd), out)
		if err != nil && err != errAgain {
			uc.err = err
			return true
		}
		if uc.n = n; n < len(out) {
			return true
		}
		x.asked(uc)
		return false
	}
	if x.ubr == nil {
		x.ubr = x.c.proxy.upstream.pool.AcquireReader(uc)
	}
	uc.fd = int(fd)
	_, err := x.ubr.Peek(1)
	uc.fd = noSocket
	if err == errAgain {
		// A connection that was just made is woken without cause, as often as not.
		x.c.proxy.upstream.pool.ReleaseReader(x.ubr)
		x.ubr = nil
		return false
	}
	uc.err = err
	return true
}

func rawConn(c net.Conn) syscall.RawConn {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
