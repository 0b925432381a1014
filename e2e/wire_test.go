//go:build slow

package e2e

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// badWire joins two namespaces by a wire that loses, repeats and overtakes
// frames. The kernel's own tc netem is not in every kernel, and is not repeatable.
type badWire struct {
	lost, repeated, overtaken atomic.Int64
	running                   sync.WaitGroup
}

// frameLimit is more than a frame can have without offloads.
const frameLimit = 4096

// joinBadly puts such a wire between two. It ends with the test.
func joinBadly(t *testing.T, left, right namespace) *badWire {
	t.Helper()
	middle := newNamespace(t)
	for end, n := range map[string]namespace{"left": left, "right": right} {
		command(t, "ip", "link", "add", "name", "wire", "netns", n.file, "type", "veth", "peer", "name", end, "netns", middle.file)
		middle.run(t, "ip", "link", "set", end, "up")
		// Frames are carried as they are: with a checksum, and no longer than the wire takes.
		n.offload(t, "off")
		n.run(t, "ethtool", "-K", "wire", "tx", "off")
	}
	left.address(t, leftIPv4, leftIPv6)
	right.address(t, rightIPv4, rightIPv6)
	a, b := middle.tap(t, "left"), middle.tap(t, "right")
	w := &badWire{}
	for i, way := range [][2]int{{a, b}, {b, a}} {
		w.running.Go(func() { w.carry(way[0], way[1], rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	t.Cleanup(func() {
		for _, fd := range []int{a, b} { // wakes what reads it
			_ = unix.Shutdown(fd, unix.SHUT_RDWR)
			_ = unix.Close(fd)
		}
		w.running.Wait()
		t.Logf("of the frames %d were lost, %d repeated, %d overtaken", w.lost.Load(), w.repeated.Load(), w.overtaken.Load())
	})
	return w
}

// tap opens a socket that reads every frame that arrives at an interface, and writes frames there.
func (n namespace) tap(t *testing.T, name string) (fd int) {
	t.Helper()
	err := n.do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8 // in network byte order
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all); err != nil {
			return err
		}
		tick := unix.NsecToTimeval(int64(wireTick))
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// wireTick is how long a frame is held back at most.
const wireTick = time.Millisecond

// carry takes frames from one end to the other until the first is closed. Every
// fiftieth is lost, every fiftieth repeated, and every twentieth overtaken by those
// after it.
func (w *badWire) carry(from, to int, chance *rand.Rand) {
	var held []byte
	for {
		frame := make([]byte, frameLimit)
		n, _, err := unix.Recvfrom(from, frame, 0)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return
		}
		if n <= 0 {
			if n == 0 && err == nil {
				return
			}
			send(to, held)
			held = nil
			continue
		}
		frame = frame[:n]
		switch roll := chance.IntN(100); {
		case roll < 2:
			w.lost.Add(1)
		case roll < 4:
			w.repeated.Add(1)
			send(to, frame)
			send(to, frame)
		case roll < 9 && held == nil:
			w.overtaken.Add(1)
			held = frame
			continue
		default:
			send(to, frame)
		}
		if held != nil && chance.IntN(2) == 0 {
			send(to, held)
			held = nil
		}
	}
}

// send drops what cannot be sent, as a wire does.
func send(fd int, frame []byte) {
	if len(frame) > 0 {
		_, _ = unix.Write(fd, frame)
	}
}
