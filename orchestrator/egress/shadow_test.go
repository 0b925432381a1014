package egress

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

// sentinel is a socket that notices anything that ever came before it was
// asked whether something did: what comes is queued in order.
type sentinel struct {
	tcp net.Listener
	udp net.PacketConn
}

func newSentinel(t *testing.T) *sentinel {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close(); _ = udp.Close() })
	return &sentinel{tcp, udp}
}

// untouched says whether neither a connection nor a packet has come.
func (s *sentinel) untouched(t *testing.T) bool {
	t.Helper()
	own, err := net.Dial("tcp", s.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	first, err := s.tcp.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	packet, err := net.Dial("udp", s.udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packet.Close() }()
	if _, err := io.WriteString(packet, "own"); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 512)
	n, _, err := s.udp.ReadFrom(buffer)
	if err != nil {
		t.Fatal(err)
	}
	return first.RemoteAddr().String() == own.LocalAddr().String() && string(buffer[:n]) == "own"
}

// resolver asks the sentinel for names.
func (s *sentinel) resolver(ctx context.Context, host string) ([]netip.Addr, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", s.udp.LocalAddr().String())
	}}
	return r.LookupNetIP(ctx, "ip", host)
}

func TestNothingLeavesInShadow(t *testing.T) {
	for name, shadow := range map[string]func(string) bool{
		"on":           func(string) bool { return true },
		"nobody knows": nil,
		"of this one":  func(tenant string) bool { return tenant == "t" },
	} {
		s := newSentinel(t)
		g := New(Options{Shadow: shadow, Log: quiet(), Lookup: s.resolver})
		address := s.tcp.Addr().String()
		d := g.HTTP("t", HTTPOptions{AllowPrivate: true})
		for _, to := range []string{"http://" + address, "https://" + address, "http://hook.example/", "https://localhost:" + address[strings.LastIndex(address, ":")+1:]} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				_, _, err := answered(t, d, request(t, method, to, "x"))
				if _, unsent := errors.AsType[*UnsentError](err); !errors.Is(err, ErrShadow) || !unsent {
					t.Errorf("%s: %s %s: %v", name, method, to, err)
				}
			}
		}
		dial := g.Dialer("t", DialOptions{AllowPrivate: true})
		for _, to := range []string{address, "mail.example:25"} {
			if conn, err := dial(t.Context(), "tcp", to); !errors.Is(err, ErrShadow) {
				t.Errorf("%s: %v %v", name, conn, err)
			}
		}
		if !s.untouched(t) {
			t.Errorf("%s: something left the process", name)
		}
	}
}

// The test above would notice: live, the same requests touch both sockets.
func TestTheSentinelNotices(t *testing.T) {
	s := newSentinel(t)
	g := New(Options{Shadow: live, Log: quiet()})
	conn, err := g.Dialer("t", DialOptions{AllowPrivate: true})(t.Context(), "tcp", s.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if s.untouched(t) {
		t.Error("a connection was not noticed")
	}
	s = newSentinel(t)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		_, _ = s.resolver(ctx, "hook.example")
	}()
	buffer := make([]byte, 512)
	if n, _, err := s.udp.ReadFrom(buffer); err != nil || !strings.Contains(string(buffer[:n]), "hook") {
		t.Errorf("the question was %q, %v", buffer[:n], err)
	}
	cancel()
	<-asked
}

func TestShadowIsEachTenantsOwn(t *testing.T) {
	s := newSentinel(t)
	g := New(Options{Shadow: func(tenant string) bool { return tenant != "live" }, Log: quiet()})
	conn, err := g.Dialer("live", DialOptions{AllowPrivate: true})(t.Context(), "tcp", s.tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
