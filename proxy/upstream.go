package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"
)

// upstreamConn is one connection to the upstream, pooled by fasthttp's
// HostClient and used by one exchange at a time.
type upstreamConn struct {
	net.Conn
	raw  syscall.RawConn // nil when there is no socket underneath
	used bool            // has carried an exchange before

	peek func(fd uintptr) bool // look, bound once
	gone bool                  // what look saw
}

// upstream connects to the API. Safe for concurrent use.
type upstream struct {
	addr    upstreamAddr
	timeout time.Duration
	pool    *fasthttp.HostClient
	retries atomic.Uint64
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

func (u *upstream) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), u.timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, u.addr.network, u.addr.address)
	if err != nil {
		return nil, err
	}
	uc := &upstreamConn{Conn: conn, raw: rawConn(conn)}
	uc.peek = uc.look
	if u.addr.tls == nil {
		return uc, nil
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
		return faultUpstreamTLS
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return faultUpstreamRefused
	}
	return faultUpstreamUnreachable
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
	var b [1]byte
	_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	uc.gone = err != syscall.EAGAIN
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
