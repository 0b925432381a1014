package proxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"syscall"
	"testing"
	"time"
)

// crowdVariable makes this test binary the client of TestTenThousandIdle, in a
// process of its own: one process may not be allowed enough files for both
// ends. Its value is the address and the number of connections.
const crowdVariable = "COUNTERSIGN_TEST_CROWD"

func TestMain(m *testing.M) {
	if crowd := os.Getenv(crowdVariable); crowd != "" {
		os.Exit(beCrowd(crowd))
	}
	os.Exit(m.Run())
}

// beCrowd keeps the connections open until standard input ends.
func beCrowd(crowd string) (status int) {
	var addr string
	var n int
	if _, err := fmt.Sscan(crowd, &addr, &n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	for i := range n {
		// Clients at several addresses, for there are 28,000 ports at each.
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i%4))}}
		conn, err := d.Dial("tcp", addr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer conn.Close()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// crowd opens n connections to the proxy, until the test ends.
func (e *env) crowd(n int) {
	e.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprint(crowdVariable, "=", e.addr, " ", n))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		e.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
}

// TestTenThousandIdle: connections that wait for their next request cost a
// few kilobytes each, and do not stand in the way of others.
func TestTenThousandIdle(t *testing.T) {
	const n, own = 10_000, 100 // own: of this process
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < n+1000 {
		t.Skipf("no more than %d files may be open here", limit.Cur)
	}
	e := startStill(t, always(t, okResponse).url())
	heap := func() int64 {
		debug.FreeOSMemory()
		debug.FreeOSMemory() // what a sync.Pool gives up, it gives up at the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	before := heap()
	e.crowd(n - own)
	idle := make([]*peer, own)
	for i := range idle {
		idle[i] = e.dial()
	}
	e.inPhase(phaseIdle, n)
	e.pass(parkAfter+time.Second, true)
	e.inPhase(phaseParked, n)
	if each := (heap() - before) / n; each > 12<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}

	e.pass(e.cfg.IdleTimeout/2, true)
	c := e.dial()
	c.answered("/", 200, "ok")
	for _, p := range idle {
		p.answered("/", 200, "ok")
	}
	e.counted(fmt.Sprintf("success=%d", own+1))
	e.inPhase(phaseIdle, own+1)

	e.pass(e.cfg.IdleTimeout/2+time.Second, true)
	e.until("the ones that asked for nothing to be closed", func() bool { return e.Stats().ClientConns == own+1 })
	c.answered("/", 200, "ok")
	if s := e.Stats(); s.Accepted != n+1 {
		t.Errorf("accepted %d", s.Accepted)
	}
	e.counted(fmt.Sprintf("success=%d", own+2))
}

// TestParkedRequest: a request that comes to a parked connection is served, in
// one piece or byte by byte, and so is one that comes while it is parked.
func TestParkedRequest(t *testing.T) {
	e := startStill(t, always(t, okResponse).url())
	c := e.dial()
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, piece := range []int{len(request), 1} {
		e.inPhase(phaseIdle, 1)
		e.pass(parkAfter+time.Second, true)
		e.inPhase(phaseParked, 1)
		for i := 0; i < len(request); i += piece {
			c.send(request[i : i+piece])
		}
		if r := c.reply("GET"); r.body != "ok" {
			t.Errorf("got %s", r.Status)
		}
	}
	// As close together as it gets.
	for range 200 {
		passed := make(chan struct{})
		go func() {
			e.pass(parkAfter+time.Second, false)
			close(passed)
		}()
		c.answered("/", 200, "ok")
		<-passed
	}
	e.counted("success=202")
}

// TestParkedClientLeaves: its connection is closed, and nothing is counted.
func TestParkedClientLeaves(t *testing.T) {
	e := startStill(t, always(t, okResponse).url())
	c := e.dial()
	e.inPhase(phaseIdle, 1)
	e.pass(parkAfter+time.Second, true)
	e.inPhase(phaseParked, 1)
	c.Close()
	e.until("the connection to be closed", func() bool { return e.Stats().ClientConns == 0 })
	e.counted("")
}

// TestParkedTimesOut: parking does not put off the idle timeout.
func TestParkedTimesOut(t *testing.T) {
	e := startStill(t, always(t, okResponse).url(), func(c *Config) { c.IdleTimeout = 10 * time.Second })
	c := e.dial()
	e.inPhase(phaseIdle, 1)
	e.pass(5*time.Second, true)
	e.inPhase(phaseParked, 1)
	e.pass(5*time.Second-sweepInterval, true)
	e.inPhase(phaseParked, 1)
	e.pass(3*sweepInterval, true)
	c.closed()
}
