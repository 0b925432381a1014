package change

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/roots"
)

const (
	requestTimeout = 20 * time.Second
	// maxAnswer is the most that is read of an answer. It is read as a stream:
	// the patches in a commit are never in memory all at once.
	maxAnswer = 8 << 20
	maxToken  = 4 << 10
	// secondaryPause is what GitHub asks for when it limits without saying for how long.
	secondaryPause = time.Minute
)

// client speaks to the GitHub REST API. It is used by one goroutine.
//
// Reference: https://docs.github.com/en/rest/using-the-rest-api
type client struct {
	base      *url.URL
	tokenFile string
	now       func() time.Time
	http      *http.Client
	reset     time.Time // no request is left until then
}

// rateLimited says that GitHub asked to wait.
type rateLimited struct {
	wait   time.Duration
	reason string
}

func (r *rateLimited) Error() string { return r.reason }

// failedAnswer is an answer that is none.
type failedAnswer struct {
	status int
	text   string
}

func (f *failedAnswer) Error() string { return f.text }

func newClient(api, tokenFile string, now func() time.Time) (*client, error) {
	base, err := url.Parse(api)
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("%q is no address of a GitHub API; write https://api.github.com, or https://HOST/api/v3 for GitHub Enterprise Server", api)
	}
	if base.Scheme == "http" && tokenFile != "" && !loopback(base.Hostname()) {
		return nil, fmt.Errorf("the GitHub token would be readable on its way to %s; use https", base.Host)
	}
	return &client{
		base: base, tokenFile: tokenFile, now: now,
		http: &http.Client{
			// A poll's requests share a connection, and none is kept until the next.
			Transport: roots.Before(&http.Transport{
				Proxy:                 http.ProxyFromEnvironment,
				MaxIdleConnsPerHost:   1,
				IdleConnTimeout:       2 * time.Second,
				TLSHandshakeTimeout:   10 * time.Second,
				ResponseHeaderTimeout: requestTimeout,
			}),
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				if len(via) > 3 {
					return errors.New("GitHub redirects in a circle")
				}
				if !sameHost(req.URL, base) {
					return fmt.Errorf("GitHub redirects to another host, %s, which is not followed", plain.Line(req.URL.Host, 100))
				}
				return nil
			},
		},
	}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func sameHost(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

func (c *client) close() { c.http.CloseIdleConnections() }

// exhausted is how long there is no request left.
func (c *client) exhausted() time.Duration {
	if c.reset.IsZero() {
		return 0
	}
	return c.reset.Sub(c.now())
}

func (c *client) url(query url.Values, segments ...string) string {
	u := c.base.JoinPath(segments...)
	u.RawQuery = query.Encode()
	return u.String()
}

// token is read each time: those of GitHub Apps live for an hour.
func (c *client) token() (string, error) {
	if c.tokenFile == "" {
		return "", nil
	}
	f, err := os.Open(c.tokenFile)
	if err != nil {
		return "", fmt.Errorf("the GitHub token cannot be read: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fmt.Errorf("the GitHub token cannot be read: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || len(data) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("the file %s holds no GitHub token: it is one word", c.tokenFile)
	}
	return token, nil
}

// listAnswer is what came with a page of a list.
type listAnswer struct {
	notModified bool
	etag        string
	next        string // of the next page, empty on the last
}

// list calls take for each element of a list, which decodes it.
func (c *client) list(ctx context.Context, address, etag string, take func(each func(any) error) error) (listAnswer, error) {
	var got listAnswer
	err := c.get(ctx, address, etag, func(resp *http.Response) error {
		if got.notModified = resp.StatusCode == http.StatusNotModified; got.notModified {
			return nil
		}
		got.etag, got.next = resp.Header.Get("ETag"), nextPage(resp.Header.Get("Link"), c.base)
		dec := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer))
		return notJSON(elements(dec, func() error { return take(dec.Decode) }))
	})
	return got, err
}

// elements calls take before each element of the array that comes next.
func elements(dec *json.Decoder, take func() error) error {
	t, err := dec.Token()
	if err == nil && t != json.Delim('[') {
		err = errors.New("it is no list")
	}
	if err != nil {
		return err
	}
	for dec.More() {
		if err := take(); err != nil {
			return err
		}
	}
	_, err = dec.Token()
	return err
}

func notJSON(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("GitHub's answer is not what it is documented to be: %s", plain.Line(err.Error(), 120))
}

// get asks, and hands over an answer of 200 or 304.
func (c *client) get(ctx context.Context, address, etag string, take func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	req.Header.Set("User-Agent", "countersign")
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("GitHub does not answer: %w", err)
	}
	defer resp.Body.Close()
	c.reset = time.Time{}
	if resp.Header.Get("X-RateLimit-Remaining") == "0" {
		c.reset = resetTime(resp.Header, c.now())
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNotModified && etag != "" {
		return take(resp)
	}
	return c.refusal(resp, address)
}

// refusal says why GitHub did not answer the question.
func (c *client) refusal(resp *http.Response, address string) error {
	var body struct {
		Message string `json:"message"`
	}
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&body)
	message := plain.Line(body.Message, 200)
	if message == "" {
		message = http.StatusText(resp.StatusCode)
	}
	if resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests {
		if pause, limited := c.limit(resp, message); limited {
			return &rateLimited{pause, "GitHub answers no more requests for a while: " + message}
		}
	}
	text := fmt.Sprintf("GitHub answers %d (%s)", resp.StatusCode, message)
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		text += "; the token is wrong or has expired"
	case http.StatusForbidden:
		text += "; the token lacks the permission to read contents or deployments"
	case http.StatusNotFound:
		text += "; the repository or branch does not exist, or the token may not read it"
	case http.StatusConflict:
		text += "; the repository is empty"
	}
	return &failedAnswer{resp.StatusCode, text}
}

// limit is how long to wait, by the rules GitHub gives: Retry-After, else the
// reset of the requests that are used up, else a minute.
func (c *client) limit(resp *http.Response, message string) (time.Duration, bool) {
	if after := resp.Header.Get("Retry-After"); after != "" {
		if seconds, err := strconv.ParseUint(after, 10, 31); err == nil {
			return time.Duration(seconds) * time.Second, true
		}
		if at, err := http.ParseTime(after); err == nil {
			return at.Sub(c.now()), true
		}
		return secondaryPause, true
	}
	if !c.reset.IsZero() {
		return c.exhausted(), true
	}
	limited := resp.StatusCode == http.StatusTooManyRequests || strings.Contains(strings.ToLower(message), "rate limit")
	return secondaryPause, limited
}

// resetTime is when there are requests again, a second later for the rounding.
func resetTime(header http.Header, now time.Time) time.Time {
	seconds, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64)
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return now.Add(secondaryPause)
	}
	return time.Unix(seconds+1, 0)
}

// nextPage is the address that a Link header (RFC 8288) gives for rel="next",
// empty when there is none on the host that was asked.
func nextPage(header string, base *url.URL) string {
	for part := range strings.SplitSeq(header[:min(len(header), 4<<10)], ",") {
		address, params, ok := strings.Cut(part, ">")
		if !ok || !strings.Contains(params, `rel="next"`) {
			continue
		}
		address, ok = strings.CutPrefix(strings.TrimSpace(address), "<")
		if u, err := url.Parse(address); ok && err == nil && sameHost(u, base) && u.User == nil {
			return u.String()
		}
	}
	return ""
}
