package ebpf

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const ownNamespace = "COUNTERSIGN_TEST_IN_OWN_NAMESPACE"

// TestSuperPackets has bodies come and go between two hosts in packets that
// offloading makes of many segments, beyond 64 KiB where IPv6 allows it. It has a network
// namespace of its own, so that nothing of it is left, and one processor: of two, the
// host of a virtual machine may take one away in the middle of a packet, which the next
// one then overtakes.
func TestSuperPackets(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("network namespaces can be made by root alone")
	}
	if os.Getenv(ownNamespace) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		child := exec.CommandContext(t.Context(), "taskset", "--cpu-list", fmt.Sprint(ownProcessor(t)), self, "-test.v", "-test.run", "^TestSuperPackets$")
		child.Env = append(os.Environ(), ownNamespace+"=1")
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestSuperPackets") {
			t.Errorf("%v\n%s", err, out)
		}
		t.Logf("%s", out)
		return
	}
	client := otherHost(t)
	for _, address := range []string{"192.0.2.1:0", "[2001:db8::1]:0"} {
		eachHook(t, func(t *testing.T, a Attach) { testSuperPackets(t, a, address, client) })
	}
}

// ownProcessor is the first that this process may run on.
func ownProcessor(t *testing.T) int {
	t.Helper()
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	cpu := 0
	for !allowed.IsSet(cpu) {
		cpu++
	}
	return cpu
}

func testSuperPackets(t *testing.T, a Attach, address string, client *host) {
	const size, times = 8 << 20, 4
	v := newLive(t, a, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
	}))
	asking := &http.Client{Transport: &http.Transport{DialContext: client.dial, WriteBufferSize: 1 << 20}, Timeout: time.Minute}
	defer asking.CloseIdleConnections()
	for range times {
		response, err := asking.Post(v.url("/"), "application/octet-stream", io.LimitReader(zeros{}, size))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, response.Body); err != nil || n != size {
			t.Fatalf("%d bytes: %v", n, err)
		}
		_ = response.Body.Close()
	}
	stats, _ := v.want(times)
	each := 2 * size * times / stats.Packets
	t.Logf("%d packets of %d bytes each", stats.Packets, each)
	if each < 10*1448 {
		t.Error("these are no super-packets")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// host is another network namespace, at the other end of a wire.
type host struct{ inside *os.File }

// otherHost makes one, and the wire.
func otherHost(t *testing.T) *host {
	h := &host{}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with this function
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			h.inside, err = os.Open("/proc/thread-self/ns/net")
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.inside.Close() })
	file := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.inside.Fd())
	there := "nsenter --net=" + file + " "
	for _, line := range []string{
		"ip link add name wire type veth peer name wire netns " + file,
		"ip address add 192.0.2.1/24 dev wire", there + "ip address add 192.0.2.2/24 dev wire",
		"ip address add 2001:db8::1/64 dev wire nodad", there + "ip address add 2001:db8::2/64 dev wire nodad",
		"ip link set wire up gso_max_size 180000 gro_max_size 180000", there + "ip link set wire up gso_max_size 180000 gro_max_size 180000",
		"ip link set lo up",
	} {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	return h
}

// dial connects from there.
func (h *host) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(int(h.inside.Fd()), unix.CLONE_NEWNET); err == nil {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		}
	}()
	<-done
	return conn, err
}
