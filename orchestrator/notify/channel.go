package notify

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/egress"
)

// Channel is a way to one person or group. It is safe for concurrent use.
type Channel interface {
	// Name is the channel's id in the configuration.
	Name() string
	// Kind is one of those that package kinds lists.
	Kind() string
	// Send sends m once and waits for the answer, at most as long as the channel
	// is configured to, or until ctx ends. Its error is an *Error.
	Send(ctx context.Context, m Message) (Receipt, error)
}

// Receipt is what the other side said when it took a message.
type Receipt struct {
	// Reference is the other side's own name of the message; "" when it gives
	// none.
	Reference string
	// Note is what else it said, in one line.
	Note string
}

// Doer is what sends an HTTP request, such as an *http.Client.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Outside is all that a channel has of the world.
type Outside struct {
	// HTTP is what sends requests on behalf of a tenant. It must not follow
	// redirects, and is asked for anew with every message.
	HTTP func(tenant string) Doer
	// Dial connects on behalf of a tenant; for mail.
	Dial func(ctx context.Context, tenant, network, address string) (net.Conn, error)
	// Getenv reads a variable of the environment.
	Getenv func(string) string
	// Now is the time for what must be dated when it is sent.
	Now func() time.Time
}

// Through is the world as a channel gets it through a gate.
func Through(gate *egress.Gate, c Config, getenv func(string) string, now func() time.Time) Outside {
	return Outside{
		HTTP: func(tenant string) Doer {
			return gate.HTTP(tenant, egress.HTTPOptions{Timeout: c.Timeout, AllowPrivate: c.AllowPrivate, AllowHosts: c.AllowHosts})
		},
		Dial: func(ctx context.Context, tenant, network, address string) (net.Conn, error) {
			return gate.Dialer(tenant, egress.DialOptions{AllowPrivate: c.AllowPrivate, AllowHosts: c.AllowHosts})(ctx, network, address)
		},
		Getenv: getenv,
		Now:    now,
	}
}
