package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/config"
)

// retryUpstream is the pause between two attempts to reach the upstream.
const retryUpstream = 100 * time.Millisecond

// awaitUpstream returns when the upstream accepts connections, and with an
// error when it did not within c.Upstream.Wait or ctx ended. It does not look
// when the wait is 0.
func awaitUpstream(ctx context.Context, c config.Config, log *slog.Logger) error {
	if c.Upstream.Wait == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, c.Upstream.Wait)
	defer cancel()
	network, address := upstreamAddress(c.Upstream.URL)
	why := "no answer"
	for attempt := 1; ; attempt++ {
		conn, err := (&net.Dialer{}).DialContext(limited, network, address)
		if err == nil {
			return conn.Close()
		}
		// An attempt that the limit broke off says nothing of the upstream.
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
			why = reason(err)
		}
		if attempt == 1 {
			log.Info("waiting for the upstream", "upstream", c.Upstream.URL, "wait", c.Upstream.Wait, "error", why)
		}
		select {
		case <-time.After(retryUpstream):
			continue
		case <-limited.Done():
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the upstream %s could not be reached for %v (%s): start your API, or give --wait-upstream 0 to start without it",
			c.Upstream.URL, c.Upstream.Wait, why)
	}
}

// upstreamAddress is where to dial a URL that the proxy has accepted.
func upstreamAddress(raw string) (network, address string) {
	u, err := url.Parse(raw)
	if err != nil {
		return "tcp", raw
	}
	if u.Scheme == "unix" {
		return "unix", u.Path
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return "tcp", net.JoinHostPort(u.Hostname(), port)
}

// reason is why a connection failed, without the addresses.
func reason(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Err
	}
	return err.Error()
}
