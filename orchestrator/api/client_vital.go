package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// maxVital is the most bytes that the answer of /healthz or /readyz may have.
const maxVital = 64 << 10

// Alive asks GET /healthz: nil while the traffic is judged as often as promised. The
// error is a sentence for the user. It takes five seconds at most, or less if ctx says so.
func (c *Client) Alive(ctx context.Context) error { return c.vital(ctx, "/healthz") }

// Ready asks GET /readyz: nil while the sidecar serves, and is neither waiting for its
// upstream nor shutting down. Otherwise as [Client.Alive].
func (c *Client) Ready(ctx context.Context) error { return c.vital(ctx, "/readyz") }

func (c *Client) vital(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return fmt.Errorf("cannot ask the admin API at %s: %w", c.base, err)
	}
	defer c.http.CloseIdleConnections()
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxVital))
	if err != nil {
		return fmt.Errorf("the admin API at %s broke off its answer: %w", c.base, err)
	}
	var v vital
	known := json.Unmarshal(body, &v) == nil
	switch {
	case known && res.StatusCode == http.StatusOK && v.Status == vitalOK:
		return nil
	case known && res.StatusCode == http.StatusServiceUnavailable && v.Status == vitalFailing:
		return fmt.Errorf("%s%s: %s", c.base, path, v.Reason)
	case res.StatusCode == http.StatusOK:
		return fmt.Errorf("%s%s answers, but not as Countersign does: is it Countersign's admin address?", c.base, path)
	}
	return c.refused(res.StatusCode, body)
}
