package approval

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxConns is how many connections a public listener has at once: with their
// buffers they take some 10 MB, and no more can be taken by whoever opens
// thousands.
const maxConns = 512

// Server returns a server for a public listener: slow clients are cut off, so
// that they hold nothing.
func (h *Handler) Server() *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(h.o.Log.Handler(), slog.LevelDebug),
	}
}

// Bounded is a listener with at most 512 connections at once. Those beyond it
// wait until one is closed.
func Bounded(l net.Listener) net.Listener { return bound(l, maxConns) }

func bound(l net.Listener, n int) net.Listener {
	return &bounded{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type bounded struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &placed{Conn: c, leave: func() { <-b.places }}, nil
}

// Close implements net.Listener.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// placed is a connection that has a place.
type placed struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close implements net.Conn.
func (p *placed) Close() error {
	err := p.Conn.Close()
	p.once.Do(p.leave)
	return err
}
