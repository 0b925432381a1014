package approval

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// claimed is a connection that says it comes from an address.
type claimed struct {
	net.Conn
	from netip.Addr
}

func (c claimed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 40000))
}

// calls is a listener that connections are called in on.
type calls chan net.Conn

func (c calls) Accept() (net.Conn, error) {
	conn, ok := <-c
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}
func (c calls) Close() error   { close(c); return nil }
func (c calls) Addr() net.Addr { return &net.TCPAddr{} }

// call connects from an address, and returns both ends.
func call(t *testing.T, l net.Listener, in calls, from string) (client, server net.Conn) {
	t.Helper()
	client, inner := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	go func() { in <- claimed{inner, netip.MustParseAddr(from)} }()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}

// isOpen says whether the other side still has the connection.
func isOpen(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 1))
	if err == nil || !errors.Is(err, io.EOF) && !isTimeout(err) {
		t.Fatal(err)
	}
	return isTimeout(err)
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// TestCrowdMakesRoom has one machine, or all of one IPv6 network, take every
// place: it is its own connections that are closed for others, the oldest first.
func TestCrowdMakesRoom(t *testing.T) {
	for name, crowd := range map[string][]string{
		"one address": {"192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1"}, "one network": {"2001:db8::1", "2001:db8::2", "2001:db8::3"},
	} {
		t.Run(name, func(t *testing.T) {
			in := make(calls)
			l := bound(in, 4)
			person, _ := call(t, l, in, "192.0.2.9")
			var held []net.Conn
			for _, from := range crowd {
				c, _ := call(t, l, in, from)
				held = append(held, c)
			}
			other, _ := call(t, l, in, "2001:db8:1::1")
			if !isOpen(t, person) || !isOpen(t, other) || isOpen(t, held[0]) || !isOpen(t, held[1]) || !isOpen(t, held[2]) {
				t.Error("others than the oldest of the crowd were closed")
			}
			again, _ := call(t, l, in, crowd[0])
			if !isOpen(t, person) || !isOpen(t, other) || isOpen(t, held[1]) || !isOpen(t, held[2]) || !isOpen(t, again) {
				t.Error("the crowd took a place from others")
			}
		})
	}
}

// TestPlacesAreGivenBack closes connections, each twice.
func TestPlacesAreGivenBack(t *testing.T) {
	in := make(calls)
	l := bound(in, 2)
	_, first := call(t, l, in, "192.0.2.1")
	_, _ = first.Close(), first.Close()
	second, _ := call(t, l, in, "192.0.2.1")
	third, _ := call(t, l, in, "192.0.2.1")
	if !isOpen(t, second) || !isOpen(t, third) || len(l.open) != 2 {
		t.Errorf("%d places are taken of 2, and one was closed", len(l.open))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
