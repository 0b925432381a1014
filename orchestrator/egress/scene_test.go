package egress

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

func live(string) bool { return false }

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// names is a resolver whose answers to a name change with each question; the
// last one stays.
type names struct {
	mu      sync.Mutex
	answers map[string][]string
	asked   int
}

func (n *names) lookup(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	list := n.answers[host]
	if len(list) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(list) > 1 {
		n.answers[host] = list[1:]
	}
	var addrs []netip.Addr
	for text := range strings.FieldsSeq(list[0]) {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, nil
}

// wire notes where connections go, and takes all of them to one server.
type wire struct {
	mu    sync.Mutex
	to    string
	dials []string
	dead  map[string]bool
}

func (w *wire) connect(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, address)
	dead := w.dead[address]
	w.mu.Unlock()
	if dead {
		return nil, &net.OpError{Op: "dial", Net: network, Err: io.ErrUnexpectedEOF}
	}
	return (&net.Dialer{}).DialContext(ctx, network, w.to)
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// answered sends a request, and reads its answer.
func answered(t *testing.T, d Doer, req *http.Request) (int, string, error) {
	t.Helper()
	res, err := d.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}
