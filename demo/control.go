package demo

import (
	"fmt"
	"net"
	"sync/atomic"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/valyala/fasthttp"
)

// Control serves the fault knobs on a listener of its own, so that an API
// that hangs or died can be brought back:
//
//	GET    /demo/faults   what is wrong at the moment
//	POST   /demo/faults   change it: a JSON object, or ?latency_ms= ?ramp_ms= ?error_rate= ?flap_s= ?hang= ?die=
//	DELETE /demo/faults   nothing is wrong any more; POST /demo/reset does the same
//
// POST /demo/reset is also the recovery action: a request that is signed as
// Standard Webhooks has it must be so with the right secret.
type Control struct {
	server  *fasthttp.Server
	ln      net.Listener
	api     *API
	key     *webhooks.Webhook
	actions atomic.Uint64
	done    chan struct{}
}

// OpenControl starts the knobs of api on addr. Recovery actions are signed with
// secret. Close it.
func OpenControl(addr string, api *API, secret string) (*Control, error) {
	key, err := webhooks.NewWebhook(secret)
	if err != nil {
		return nil, fmt.Errorf("the fault knobs cannot use their secret: %w", err)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("the fault knobs cannot listen on %s: %w", addr, err)
	}
	c := &Control{ln: ln, api: api, key: key, done: make(chan struct{})}
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
	case path == "/demo/faults" && method == "DELETE":
		c.apply(ctx, Faults{}, nil)
	case path == "/demo/reset" && method == "POST":
		c.reset(ctx)
	default:
		reply(ctx, 404, map[string]any{"error": "the knobs are GET, POST and DELETE /demo/faults"})
	}
}

// reset mends everything. Whoever signs a request must do it right.
func (c *Control) reset(ctx *fasthttp.RequestCtx) {
	if len(ctx.Request.Header.Peek(webhooks.HeaderWebhookSignature)) > 0 {
		if err := c.key.Verify(ctx.PostBody(), signed(ctx)); err != nil {
			reply(ctx, 401, map[string]any{"error": "the signature is not right: " + err.Error()})
			return
		}
		c.actions.Add(1)
	}
	c.apply(ctx, Faults{}, nil)
}

// Actions is how many recovery actions were received.
func (c *Control) Actions() uint64 { return c.actions.Load() }

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
