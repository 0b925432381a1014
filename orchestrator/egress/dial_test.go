package egress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func TestRebindingGainsNothing(t *testing.T) {
	var hits atomic.Int32
	server := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	n := &names{answers: map[string][]string{"rebind.example": {"8.8.8.8", "127.0.0.1"}}}
	w := &wire{to: server.Listener.Addr().String()}
	d := New(Options{Shadow: live, Log: quiet(), Lookup: n.lookup, Connect: w.connect}).HTTP("t", HTTPOptions{})
	url := "http://rebind.example:" + port + "/"

	if status, _, err := answered(t, d, request(t, "POST", url, "x")); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	if n.asked != 1 || len(w.dials) != 1 || w.dials[0] != "8.8.8.8:"+port {
		t.Fatalf("%d questions, connected to %q: a name is resolved once, and what was judged is connected to", n.asked, w.dials)
	}
	_, _, err := answered(t, d, request(t, "POST", url, "x"))
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Host != "rebind.example" || refused.Addr.String() != "127.0.0.1" || len(w.dials) != 1 || hits.Load() != 1 {
		t.Fatalf("%v, connected to %q", err, w.dials)
	}
	if _, ok := errors.AsType[*UnsentError](err); !ok {
		t.Error("a refusal is not said to be unsent")
	}
}

func TestAddressesOfAName(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name, addrs, dials string
		dead               string
		ok                 bool
	}{
		{"the first that answers", "8.8.8.8 8.8.4.4", "8.8.8.8:25", "", true},
		{"the second, when the first is dead", "8.8.8.8 8.8.4.4", "8.8.8.8:25 8.8.4.4:25", "8.8.8.8:25", true},
		{"all dead", "8.8.8.8 8.8.4.4", "8.8.8.8:25 8.8.4.4:25", "8.8.8.8:25 8.8.4.4:25", false},
		{"one among them is private", "8.8.8.8 10.0.0.1", "", "", false},
		{"mapped", "::ffff:8.8.8.8", "8.8.8.8:25", "", true},
		{"mapped loopback", "::ffff:127.0.0.1", "", "", false},
		{"none", "", "", "", false},
		{"eight of many", strings.Repeat("8.8.8.8 ", 20), strings.TrimSpace(strings.Repeat("8.8.8.8:25 ", 8)), "8.8.8.8:25", false},
	} {
		n := &names{answers: map[string][]string{"mail.example": {c.addrs}}}
		w := &wire{to: server.Listener.Addr().String(), dead: map[string]bool{}}
		for dead := range strings.FieldsSeq(c.dead) {
			w.dead[dead] = true
		}
		conn, err := New(Options{Shadow: live, Log: quiet(), Lookup: n.lookup, Connect: w.connect}).Dial(t.Context(), "t", "tcp", "mail.example:25")
		if err == nil {
			_ = conn.Close()
		}
		if (err == nil) != c.ok || strings.Join(w.dials, " ") != c.dials {
			t.Errorf("%s: %v, connected to %q", c.name, err, w.dials)
		}
	}
}

func TestDialRefusesWhatIsNoAddress(t *testing.T) {
	g := New(Options{Shadow: live, Log: quiet(), Connect: (&wire{}).connect})
	for _, c := range [][2]string{{"udp", "8.8.8.8:53"}, {"unix", "/run/docker.sock"}, {"tcp", "8.8.8.8"}, {"tcp", ":25"}, {"tcp", "8.8.8.8:"}} {
		if conn, err := g.Dial(t.Context(), "t", c[0], c[1]); err == nil {
			_ = conn.Close()
			t.Errorf("connected to %v", c)
		}
	}
}

func TestDialerReachesWhatIsAllowed(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) {})
	address := server.Listener.Addr().String()
	g := New(Options{Shadow: live, Log: quiet()})
	for i, o := range []DialOptions{{AllowPrivate: true}, {AllowHosts: []string{"127.0.0.1"}}} {
		conn, err := g.Dialer("t", o)(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(i, err)
		}
		_ = conn.Close()
	}
	if _, err := g.Dial(t.Context(), "t", "tcp", address); err == nil {
		t.Error("Dial reached a loopback address")
	}
}

func TestShadowBetweenTwoAddresses(t *testing.T) {
	var shadow atomic.Bool
	tries := 0
	n := &names{answers: map[string][]string{"mail.example": {"8.8.8.8 8.8.4.4"}}}
	g := New(Options{Shadow: func(string) bool { return shadow.Load() }, Log: quiet(), Lookup: n.lookup, Connect: func(context.Context, string, string) (net.Conn, error) {
		tries++
		shadow.Store(true)
		return nil, io.ErrUnexpectedEOF
	}})
	if conn, err := g.Dial(t.Context(), "t", "tcp", "mail.example:25"); !errors.Is(err, ErrShadow) || tries != 1 {
		t.Errorf("%v %v, %d tries", conn, err, tries)
	}
}

// Who gives up gets no other address tried.
func TestDialEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	tries := 0
	n := &names{answers: map[string][]string{"mail.example": {"8.8.8.8 8.8.4.4"}}}
	g := New(Options{Shadow: live, Log: quiet(), Lookup: n.lookup, Connect: func(context.Context, string, string) (net.Conn, error) {
		tries++
		cancel()
		return nil, io.ErrUnexpectedEOF
	}})
	if conn, err := g.Dial(ctx, "t", "tcp", "mail.example:25"); !errors.Is(err, io.ErrUnexpectedEOF) || tries != 1 {
		t.Errorf("%v %v, %d tries", conn, err, tries)
	}
}

func TestShadowInMidConversation(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	heard := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		text, _ := io.ReadAll(conn)
		_ = conn.Close()
		heard <- string(text)
	}()
	var shadow atomic.Bool
	g := New(Options{Shadow: func(string) bool { return shadow.Load() }, Log: quiet()})
	conn, err := g.Dialer("t", DialOptions{AllowPrivate: true})(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "EHLO"); err != nil {
		t.Fatal(err)
	}
	shadow.Store(true)
	if _, err := fmt.Fprint(conn, "MAIL FROM"); !errors.Is(err, ErrShadow) {
		t.Errorf("written with shadow mode on: %v", err)
	}
	_ = conn.Close()
	if got := <-heard; got != "EHLO" {
		t.Errorf("the other side heard %q", got)
	}
}
