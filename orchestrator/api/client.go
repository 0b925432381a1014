package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/roots"
)

const (
	clientTimeout = 5 * time.Second
	maxStatusSize = 8 << 20
)

// Client asks the admin API of a running Countersign. It is safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// NewClient returns a client of the admin API at adminURL: an http or https
// URL without a path, or just host:port. A missing host, as in ":9090", is
// the loopback address.
func NewClient(adminURL string) (*Client, error) {
	raw := adminURL
	if !strings.Contains(raw, "://") {
		if strings.HasPrefix(raw, ":") {
			raw = "127.0.0.1" + raw
		}
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("admin address %q is not one: write it as http://127.0.0.1:9090 or 127.0.0.1:9090", adminURL)
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("admin address %q: give only scheme, host and port", adminURL)
	}
	if u.Scheme == "https" {
		roots.Load()
	}
	// An admin address is near and meant literally: no HTTP_PROXY, no redirects.
	transport := &http.Transport{ResponseHeaderTimeout: clientTimeout}
	return &Client{
		base: u.Scheme + "://" + u.Host,
		http: &http.Client{
			Transport:     transport,
			Timeout:       clientTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// patient is a client for what may take longer than a status: an order waits
// for the disk, and a report reads the whole ledger.
func (c *Client) patient() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: c.http.CheckRedirect,
	}
}

// Status fetches and decodes GET /status within five seconds, or less if ctx
// says so. The error is a sentence for the user.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/status", nil)
	if err != nil {
		return s, fmt.Errorf("cannot ask the admin API at %s: %w", c.base, err)
	}
	defer c.http.CloseIdleConnections()
	res, err := c.http.Do(req)
	if err != nil {
		return s, c.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxStatusSize))
	if err != nil {
		return s, fmt.Errorf("the admin API at %s broke off its answer: %w", c.base, err)
	}
	if res.StatusCode != http.StatusOK {
		return s, c.refused(res.StatusCode, body)
	}
	if err := json.Unmarshal(body, &s); err != nil || s.Build.Version == "" {
		return s, fmt.Errorf("%s answers, but not with a status document: is it Countersign's admin address?", c.base)
	}
	return s, nil
}

// unreachable strips the method and URL that url.Error repeats, and says what
// to check in the commonest cases.
func (c *Client) unreachable(err error) error {
	var ue *url.Error
	timeout := errors.As(err, &ue) && ue.Timeout()
	if ue != nil {
		err = ue.Err
	}
	switch {
	case timeout:
		return fmt.Errorf("the admin API at %s did not answer in time: %w", c.base, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nothing listens at %s: is countersign running, and is this its admin address?", c.base)
	}
	return fmt.Errorf("cannot reach the admin API at %s: %w", c.base, err)
}

func (c *Client) refused(code int, body []byte) error {
	var p problem
	if json.Unmarshal(body, &p) == nil && p.Error != "" {
		return fmt.Errorf("the admin API at %s answered %d: %s", c.base, code, p.Error)
	}
	return fmt.Errorf("%s answered %d %s, not a status document: is it Countersign's admin address?", c.base, code, http.StatusText(code))
}
