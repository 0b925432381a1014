package load

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// conn is one connection of a thread: a socket that does not block, and the exchange on it. It is down until a request
// needs it, and again after its end.
type conn struct {
	fd         int32 // -1 while it is down
	generation int32 // tells events of this socket from those of an earlier one of the same number
	dialing    bool
	busy       bool // a request is on it
	measured   bool // and is counted
	start      int64
	unsent     []byte
	message    *message
	answer     answer
}

// target is where the connections of one thread go: connecting writes into the address.
type target struct {
	family int
	addr   unix.Sockaddr
}

func newTarget(a *net.TCPAddr) target {
	if ip := a.IP.To4(); ip != nil || a.IP == nil {
		t := unix.SockaddrInet4{Port: a.Port, Addr: [4]byte{127, 0, 0, 1}}
		if ip != nil {
			t.Addr = [4]byte(ip)
		}
		return target{unix.AF_INET, &t}
	}
	t := unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16())}
	if zone, err := net.InterfaceByName(a.Zone); a.Zone != "" && err == nil {
		t.ZoneId = uint32(zone.Index)
	}
	return target{unix.AF_INET6, &t}
}

// dial begins to connect, and has the poll report the socket under an index, once for each change.
func (c *conn) dial(t target, poll, index int) error {
	fd, err := unix.Socket(t.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return connectError(err)
	}
	c.fd, c.dialing = int32(fd), true
	c.generation++
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return connectError(err)
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(index), Pad: c.generation}
	if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return connectError(err)
	}
	if err := unix.Connect(fd, t.addr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		return connectError(err)
	}
	return nil
}

// dialed asks how connecting went.
func (c *conn) dialed() error {
	c.dialing = false
	code, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	if err != nil {
		return connectError(err)
	}
	return nil
}

func connectError(err error) error {
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return errors.New("cannot connect: no local port is free; fewer new connections a second leave some")
	}
	return fmt.Errorf("cannot connect: %w", err)
}

// hangUp closes the socket; the poll forgets it by that.
func (c *conn) hangUp() {
	if c.fd >= 0 {
		_ = unix.Close(int(c.fd))
	}
	c.fd, c.dialing, c.busy = -1, false, false
}

// send writes what the socket takes of the request.
func (c *conn) send() error {
	for len(c.unsent) > 0 {
		n, err := unix.Write(int(c.fd), c.unsent)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return fmt.Errorf("cannot send: %w", err)
		default:
			c.unsent = c.unsent[n:]
		}
	}
	return nil
}

// receive reads what there is, until the answer is whole, and returns the number of bytes. After a short read there is no
// more, or an event for it, unless the other side has closed, which it is told once.
func (c *conn) receive(buffer []byte, closed bool) (total uint64, err error) {
	for {
		n, err := unix.Read(int(c.fd), buffer)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return total, nil
		case err != nil:
			return total, fmt.Errorf("cannot receive: %w", err)
		case n == 0:
			return total, c.answer.closed()
		}
		total += uint64(n)
		rest, err := c.answer.read(buffer[:n])
		if err == nil && len(rest) > 0 {
			err = errTooMuch
		}
		if err != nil || c.answer.stage == atEnd {
			return total, err
		}
		if n < len(buffer) && !closed {
			return total, nil
		}
	}
}
