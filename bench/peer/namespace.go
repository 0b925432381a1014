package peer

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/bench/netns"
)

// Namespace is a network namespace: a host of its own with nothing but a
// loopback interface, on which no rule of the machine's firewall and no program
// attached to its interfaces is. A nil *Namespace is the one of this process.
type Namespace struct{ inside *os.File }

// NewNamespace makes one. Only root can. It is there as long as it is open, or
// anything runs inside.
func NewNamespace() (*Namespace, error) {
	n := &Namespace{}
	err := netns.Elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() (err error) {
		if err = loopbackUp(); err == nil {
			n.inside, err = os.Open(netns.Own)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make a network namespace, which root alone can: %w", err)
	}
	return n, nil
}

// loopbackUp switches on the interface of the thread's namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// Close gives it up.
func (n *Namespace) Close() error {
	if n == nil {
		return nil
	}
	return n.inside.Close()
}

// Command is a command that runs inside, in a process that is its own.
func (n *Namespace) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	if n == nil {
		return exec.CommandContext(ctx, name, args...)
	}
	// nsenter puts the program in its own place.
	inside := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), n.inside.Fd())
	return exec.CommandContext(ctx, "nsenter", append([]string{inside, "--", name}, args...)...)
}

// Dial connects from inside.
func (n *Namespace) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	dial := func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	}
	if n == nil {
		err = dial()
	} else {
		err = netns.Elsewhere(func() error { return unix.Setns(int(n.inside.Fd()), unix.CLONE_NEWNET) }, dial)
	}
	return conn, err
}
