package proxy

import (
	"context"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// keepAlive is how TCP finds out that a client is gone without a word: after
// 15 s of silence it asks, every 15 s, nine times. It is what package net sets.
var keepAlive = []struct{ level, option, value int }{
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, 15},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, 9},
}

// Listen listens for clients at a TCP address, HOST:PORT. Accepted sockets
// inherit the keep-alive settings of the listening one (tcp(7)), where package
// net would make four system calls for each connection. Like there, a system
// that refuses them has its own.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			for _, o := range keepAlive {
				_ = unix.SetsockoptInt(int(fd), o.level, o.option, o.value)
			}
		})
	}}
	// An MPTCP socket has no such options of its own on all kernels.
	lc.SetMultipathTCP(false)
	return lc.Listen(ctx, "tcp", address)
}
