package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/bench/peer"
)

// newServer answers everything, and returns its address.
func newServer(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello\n")) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// TestTransferCut does not take for whole what is not.
func TestTransferCut(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := transfer(ctx, &peer.Server{Addr: newServer(t)}, 1<<20); err == nil {
		t.Error("a server that counts nothing is believed")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := transfer(ctx, &peer.Server{Addr: ln.Addr().String()}, 1<<20); err == nil {
		t.Error("a server that is not there is believed")
	}
}
