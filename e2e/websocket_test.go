//go:build slow

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// largestMessage is what the WebSocket tests let both ends read.
const largestMessage = 2 << 20

// echo answers every WebSocket message with itself. "close" makes it begin
// the close handshake. How each connection ended is sent to ended, unless nil.
func echo(ended chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			return // Accept has answered
		}
		defer c.CloseNow()
		c.SetReadLimit(largestMessage)
		for {
			kind, data, err := c.Read(r.Context())
			if err == nil && string(data) == "close" {
				err = c.Close(websocket.StatusGoingAway, "as you wish")
			} else if err == nil {
				err = c.Write(r.Context(), kind, data)
				if err == nil {
					continue
				}
			}
			if ended != nil {
				ended <- err
			}
			return
		}
	}
}

// limit is how long the sidecar of TestWebSocket lets an idle connection and an
// exchange last.
const limit = 3 * time.Second

// TestWebSocket uses a WebSocket library at both ends, in plain and over TLS.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	api := httptest.NewServer(echo(ended))
	defer api.Close()
	a := newAuthority(t, "outside")
	cert, key := a.issue(t, "localhost")
	for _, c := range []struct {
		name, scheme string
		flags        []string
	}{
		{"plain", "ws://", nil},
		{"tls", "wss://", []string{"--tls-cert", cert, "--tls-key", key}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := startSidecar(t, api.URL, append(c.flags, "--idle-timeout", limit.String(), "--total-timeout", limit.String())...)
			url := c.scheme + strings.Replace(s.address, "127.0.0.1", "localhost", 1)
			client := trusting(t, a)
			t.Run("messages", func(t *testing.T) {
				conn := dial(t, url, client)
				exchangeMessages(t, conn)
				conn.CloseNow()
				<-ended
			})
			t.Run("close by the client", func(t *testing.T) {
				conn := dial(t, url, client)
				if err := conn.Close(websocket.StatusNormalClosure, "bye"); err != nil {
					t.Errorf("the handshake failed: %v", err)
				}
				if got := websocket.CloseStatus(<-ended); got != websocket.StatusNormalClosure {
					t.Errorf("the server saw status %v", got)
				}
			})
			t.Run("close by the server", func(t *testing.T) {
				conn := dial(t, url, client)
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				if err := conn.Write(ctx, websocket.MessageText, []byte("close")); err != nil {
					t.Fatal(err)
				}
				if _, _, err := conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
					t.Errorf("the client saw %v", err)
				}
				<-ended
			})
			t.Run("client lost", func(t *testing.T) {
				conn := dial(t, url, client)
				conn.CloseNow()
				if err := <-ended; err == nil {
					t.Error("the server did not notice")
				}
			})
			s.expectCounts(t, counts{"success": 4, "streams": 4})
		})
	}
}

func trusting(t *testing.T, a *authority) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(a.file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
}

func dial(t *testing.T, url string, client *http.Client) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, &websocket.DialOptions{
		HTTPClient: client, CompressionMode: websocket.CompressionContextTakeover,
	})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(largestMessage)
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// exchangeMessages falls silent for longer than limit before the last message:
// the sidecar's limits are not for upgraded connections.
func exchangeMessages(t *testing.T, conn *websocket.Conn) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, m := range []struct {
		kind    websocket.MessageType
		data    []byte
		silence time.Duration // before it
	}{
		{kind: websocket.MessageText, data: []byte("grüße")},
		{kind: websocket.MessageText},
		{kind: websocket.MessageBinary, data: noise(1 << 20)},
		{kind: websocket.MessageBinary, data: bytes.Repeat([]byte("compressible "), 1<<16)},
		{kind: websocket.MessageText, data: []byte("the last"), silence: limit * 3 / 2},
	} {
		time.Sleep(m.silence)
		if err := conn.Write(ctx, m.kind, m.data); err != nil {
			t.Fatalf("message of %d bytes: %v", len(m.data), err)
		}
		kind, data, err := conn.Read(ctx)
		if err != nil || kind != m.kind || !bytes.Equal(data, m.data) {
			t.Fatalf("message of %d bytes: got %v of %d bytes, %v", len(m.data), kind, len(data), err)
		}
	}
}
