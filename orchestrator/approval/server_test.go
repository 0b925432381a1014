package approval

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

func TestServerAnswersOverTheWire(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	server := httptest.NewUnstartedServer(nil)
	server.Config = s.handler.Server()
	server.Start()
	defer server.Close()
	public := must(ParsePublicURL(server.URL))
	s.handler.o.Public = public
	answer, err := http.PostForm(public.JoinPath(Path, "confirm").String(), url.Values{"token": {token}, "code": {s.key.code(token)}})
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Error(answer.Status)
	}
	s.expect("authorized")
}

func TestBoundedListener(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bound(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- c
		}
	}()
	var clients []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Fatal("three connections have two places")
	default:
	}
	_, _ = first.Close(), first.Close() // makes one place, not two
	if n, err := clients[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%d, %v", n, err)
	}
	third := <-accepted
	if len(l.(*bounded).places) != 2 {
		t.Errorf("%d places are taken", len(l.(*bounded).places))
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	_, _ = second.Close(), third.Close()
}
