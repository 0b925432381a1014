package demo

import (
	"fmt"
	"net"

	"github.com/valyala/fasthttp"
)

// Control serves the fault knobs on a listener of its own, so that an API
// that hangs or died can be brought back:
//
//	GET    /demo/faults   what is wrong at the moment
//	POST   /demo/faults   change it: a JSON object, or ?latency_ms= ?ramp_ms= ?error_rate= ?flap_s= ?hang= ?die=
//	DELETE /demo/faults   nothing is wrong any more; POST /demo/reset does the same
type Control struct {
	server *fasthttp.Server
	ln     net.Listener
	api    *API
	done   chan struct{}
}

// OpenControl starts the knobs of api on addr. Close it.
func OpenControl(addr string, api *API) (*Control, error) {
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the fault knobs cannot listen on %s: %w", addr, err)
	}
	c := &Control{ln: ln, api: api, done: make(chan struct{})}
	c.server = &fasthttp.Server{Name: "demo-control", Handler: c.handle, Logger: silent{}, CloseOnShutdown: true}
	go func() {
		defer close(c.done)
		_ = c.server.Serve(ln) // ends when the listener is closed
	}()
	return c, nil
}

// Addr is the host and port of the knobs.
func (c *Control) Addr() string { return c.ln.Addr().String() }

// Close stops serving the knobs; the faults stay as they are.
func (c *Control) Close() {
	_ = c.ln.Close()
	<-c.done
}

func (c *Control) handle(ctx *fasthttp.RequestCtx) {
	method, path := string(ctx.Method()), string(ctx.Path())
	switch {
	case path == "/demo/faults" && method == "GET":
		reply(ctx, 200, c.api.Faults())
	case path == "/demo/faults" && method == "POST":
		next, err := c.api.Faults().change(ctx.PostBody(), func(f func(key, value string)) {
			for k, v := range ctx.QueryArgs().All() {
				f(string(k), string(v))
			}
		})
		c.apply(ctx, next, err)
	case path == "/demo/faults" && method == "DELETE", path == "/demo/reset" && method == "POST":
		c.apply(ctx, Faults{}, nil)
	default:
		reply(ctx, 404, map[string]any{"error": "the knobs are GET, POST and DELETE /demo/faults"})
	}
}

func (c *Control) apply(ctx *fasthttp.RequestCtx, next Faults, err error) {
	if err == nil {
		err = c.api.SetFaults(next)
	}
	if err != nil {
		reply(ctx, 400, map[string]any{"error": err.Error()})
		return
	}
	reply(ctx, 200, next)
}
