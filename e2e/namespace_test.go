//go:build slow

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/bench/netns"
)

// namespace is a network namespace: a host of its own, as far as packets can
// tell. The zero value is the one of the test.
type namespace struct{ file string }

// newNamespace makes one with a loopback interface and no other. It has no name: it is there as long as the test's
// process has it open, or anything runs inside, so that nothing is left however the test ends.
func newNamespace(t *testing.T) namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces can be made by root alone")
	}
	var inside *os.File
	err := netns.Elsewhere(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() (err error) {
		inside, err = os.Open(netns.Own)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { inside.Close() })
	n := namespace{fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), inside.Fd())}
	n.run(t, "ip", "link", "set", "lo", "up")
	return n
}

// command runs a program of Debian's to its end, which must be a good one.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool(t, name, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// run runs a program inside.
func (n namespace) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	words := n.words(tool(t, name, name), args...)
	return command(t, words[0], words[1:]...)
}

// words is the command line that runs a program inside.
func (n namespace) words(name string, args ...string) []string {
	words := append([]string{name}, args...)
	if n.file == "" {
		return words
	}
	return append([]string{"nsenter", "--net=" + n.file, "--"}, words...)
}

// do calls f on a thread inside. A socket that f opens stays there.
func (n namespace) do(f func() error) error {
	if n.file == "" {
		return f()
	}
	return netns.Elsewhere(func() error { return enter(n.file) }, f)
}

func enter(file string) error {
	inside, err := os.Open(file)
	if err != nil {
		return err
	}
	defer inside.Close()
	return unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET)
}

// dial connects from inside.
func (n namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.do(func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// listen takes a port inside.
func (n namespace) listen(t *testing.T, address string) (ln net.Listener) {
	t.Helper()
	err := n.do(func() (err error) {
		ln, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// client asks from inside.
func (n namespace) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.dial, DisableCompression: true, MaxIdleConnsPerHost: 64}}
}

// Addresses of two namespaces that join has put on one wire.
const (
	leftIPv4, rightIPv4 = "10.77.0.1", "10.77.0.2"
	leftIPv6, rightIPv6 = "fd77::1", "fd77::2"
)

// join puts a wire between two, on an interface called wire in each.
func join(t *testing.T, left, right namespace) {
	t.Helper()
	command(t, "ip", "link", "add", "name", "wire", "netns", left.file, "type", "veth", "peer", "name", "wire", "netns", right.file)
	left.address(t, leftIPv4, leftIPv6)
	right.address(t, rightIPv4, rightIPv6)
}

// address gives the interface wire its addresses.
func (n namespace) address(t *testing.T, ipv4, ipv6 string) {
	t.Helper()
	n.run(t, "ip", "address", "add", ipv4+"/24", "dev", "wire")
	n.run(t, "ip", "address", "add", ipv6+"/64", "dev", "wire", "nodad")
	n.run(t, "ip", "link", "set", "wire", "up")
}

// offload switches the merging and splitting of segments by the interface.
func (n namespace) offload(t *testing.T, to string) {
	t.Helper()
	n.run(t, "ethtool", "-K", "wire", "gro", to, "gso", to, "tso", to)
}
