package proxy

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestListen: accepted connections have the keep-alive settings, and are plain TCP.
func TestListen(t *testing.T) {
	ln, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := rawConn(conn).Control(func(fd uintptr) {
		for _, o := range keepAlive {
			if got, err := unix.GetsockoptInt(int(fd), o.level, o.option); err != nil || got != o.value {
				t.Errorf("option %d of level %d is %d, %v; want %d", o.option, o.level, got, err, o.value)
			}
		}
		if got, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PROTOCOL); err != nil || got != unix.IPPROTO_TCP {
			t.Errorf("the protocol is %d, %v", got, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
