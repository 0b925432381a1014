// Package demo is a small shop's API with fault knobs, and customers for it:
// what countersign demo puts behind and in front of the sidecar. All of it
// speaks over real sockets.
package demo

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// API is the sample API. Its methods are safe for concurrent use.
type API struct {
	server *fasthttp.Server
	stop   chan struct{} // closed by Close

	mu       sync.Mutex // guards what follows
	addr     string     // where to listen again after Die
	listener net.Listener
	conns    map[net.Conn]struct{}
	faults   Faults
	since    time.Time     // when faults were set
	unhang   chan struct{} // closed when Hang ends; nil while it is off
	rng      *rand.Rand
	closed   bool
	orders   int

	serving sync.WaitGroup
}

// Open starts the API on addr ("127.0.0.1:0" picks a free port). The same
// seed draws the same latencies and errors, request by request. Close it.
func Open(addr string, seed uint64) (*API, error) {
	a := &API{
		stop:  make(chan struct{}),
		addr:  addr,
		conns: map[net.Conn]struct{}{},
		rng:   rand.New(rand.NewPCG(seed, 0)),
	}
	a.server = &fasthttp.Server{
		Name:            "demo-api",
		Handler:         a.handle,
		ReadTimeout:     time.Minute,
		Logger:          silent{},
		Concurrency:     4096,
		CloseOnShutdown: true,
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.up(); err != nil {
		return nil, err
	}
	return a, nil
}

// silent drops the server's complaints about connections that Die cut off.
type silent struct{}

func (silent) Printf(string, ...any) {}

// Addr is the host and port the API listens on, or did before it died.
func (a *API) Addr() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addr
}

// Close stops the API, cuts off its connections and waits for it to end.
func (a *API) Close() {
	a.mu.Lock()
	if !a.closed {
		a.closed = true
		close(a.stop)
		a.down()
	}
	a.mu.Unlock()
	a.serving.Wait()
}

// up listens and serves. The caller holds mu.
func (a *API) up() error {
	ln, err := net.Listen("tcp", a.addr)
	if err != nil {
		return fmt.Errorf("the sample API cannot listen on %s: %w", a.addr, err)
	}
	a.addr, a.listener = ln.Addr().String(), ln
	a.serving.Go(func() {
		// Serve ends when the listener is closed, which is how Die works.
		_ = a.server.Serve(&trackingListener{ln, a})
	})
	return nil
}

// down closes the listener and every connection. The caller holds mu.
func (a *API) down() {
	if a.listener == nil {
		return
	}
	_ = a.listener.Close()
	a.listener = nil
	for c := range a.conns {
		_ = c.Close()
	}
	clear(a.conns)
}

// trackingListener remembers the open connections, so that Die can cut them.
type trackingListener struct {
	net.Listener
	api *API
}

func (l *trackingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.api.mu.Lock()
	defer l.api.mu.Unlock()
	if l.api.listener != l.Listener {
		_ = c.Close()
		return nil, net.ErrClosed
	}
	l.api.conns[c] = struct{}{}
	return &trackedConn{c, l.api}, nil
}

type trackedConn struct {
	net.Conn
	api *API
}

func (c *trackedConn) Close() error {
	c.api.mu.Lock()
	delete(c.api.conns, c.Conn)
	c.api.mu.Unlock()
	return c.Conn.Close()
}

// handle lets the faults act, and then answers.
func (a *API) handle(ctx *fasthttp.RequestCtx) {
	path, method := string(ctx.Path()), string(ctx.Method())
	usual := workOf(path)
	a.mu.Lock()
	faults, unhang := a.faults, a.unhang
	work := usual + time.Duration(a.rng.Int64N(int64(usual)+1)) + faults.latency(time.Since(a.since))
	fails := a.rng.Float64() < faults.ErrorRate || faults.flapped(time.Since(a.since))
	a.mu.Unlock()
	if unhang != nil && !a.wait(unhang, maxHang) {
		ctx.SetConnectionClose()
		reply(ctx, fasthttp.StatusServiceUnavailable, map[string]any{"error": "gave up"})
		return
	}
	if fails {
		reply(ctx, fasthttp.StatusInternalServerError, map[string]any{"error": "the demo was told to fail"})
		return
	}
	a.wait(nil, work)
	a.route(ctx, method, path)
}

// maxHang bounds how long a hung request is kept, long after any client left.
const maxHang = 2 * time.Minute

// wait returns true when until is closed and false after d or when the API is
// closed.
func (a *API) wait(until <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-until:
		return true
	case <-t.C:
	case <-a.stop:
	}
	return false
}

// workOf is the least time a route takes when nothing is wrong; it may take
// twice as long.
func workOf(path string) time.Duration {
	switch {
	case strings.HasPrefix(path, "/reports/"):
		return 80 * time.Millisecond
	case path == "/search":
		return 15 * time.Millisecond
	case path == "/orders":
		return 8 * time.Millisecond
	}
	return 2 * time.Millisecond
}

func (a *API) route(ctx *fasthttp.RequestCtx, method, path string) {
	id, one := strings.CutPrefix(path, "/products/")
	switch {
	case method == "GET" && path == "/products":
		reply(ctx, 200, products)
	case method == "GET" && one:
		product(ctx, id)
	case method == "POST" && path == "/orders":
		a.mu.Lock()
		a.orders++
		order := a.orders
		a.mu.Unlock()
		reply(ctx, 201, map[string]any{"order": order, "bytes": len(ctx.PostBody())})
	case method == "GET" && strings.HasPrefix(path, "/reports/"):
		reply(ctx, 200, map[string]any{"report": strings.TrimPrefix(path, "/reports/"), "sold": 4217})
	case method == "GET" && path == "/search":
		search(ctx, string(ctx.QueryArgs().Peek("q")))
	case method == "POST" && path == "/webhooks/payment":
		ctx.SetStatusCode(fasthttp.StatusNoContent)
	case method == "GET" && path == "/events":
		a.events(ctx)
	default:
		reply(ctx, 404, map[string]any{"error": "no such page", "try": "/products"})
	}
}

type item struct {
	ID    int    `json:"id"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
}

var products = []item{{1, "paper", 490}, {2, "ink", 1250}, {3, "seal", 3900}, {4, "wax", 720}}

func product(ctx *fasthttp.RequestCtx, id string) {
	n, err := strconv.Atoi(id)
	if err != nil || n < 1 {
		reply(ctx, 404, map[string]any{"error": "no such product"})
		return
	}
	p := products[n%len(products)]
	p.ID = n
	reply(ctx, 200, p)
}

func search(ctx *fasthttp.RequestCtx, q string) {
	found := []item{}
	for _, p := range products {
		if strings.Contains(p.Name, q) {
			found = append(found, p)
		}
	}
	reply(ctx, 200, found)
}

// events is a Server-Sent Events stream: ?count= events (endless without),
// ?every= apart (1s without).
func (a *API) events(ctx *fasthttp.RequestCtx) {
	count := ctx.QueryArgs().GetUintOrZero("count")
	every, err := time.ParseDuration(string(ctx.QueryArgs().Peek("every")))
	if err != nil || every <= 0 {
		every = time.Second
	}
	ctx.SetContentType("text/event-stream")
	ctx.Response.Header.Set("Cache-Control", "no-store")
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		for n := 1; count == 0 || n <= count; n++ {
			_, _ = fmt.Fprintf(w, "id: %d\ndata: {\"sold\": %d}\n\n", n, n)
			if w.Flush() != nil {
				return // the reader is gone
			}
			a.wait(nil, every)
			select {
			case <-a.stop:
				return
			default:
			}
		}
	})
}

func reply(ctx *fasthttp.RequestCtx, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		ctx.Error("cannot encode the answer", fasthttp.StatusInternalServerError)
		return
	}
	ctx.SetStatusCode(code)
	ctx.SetContentType("application/json")
	ctx.SetBody(append(body, '\n'))
}
