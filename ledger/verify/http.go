package verify

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	httpTries   = 4                      // of one resource
	httpBackoff = 250 * time.Millisecond // before the second try, doubled each time
	httpTimeout = time.Minute            // for one try
	httpHops    = 5                      // redirects followed
	httpWorkers = 8                      // requests at once: they mostly wait
	firstRead   = 32 << 10               // bytes of an answer whose length is not known
)

// HTTP is a log served over the tlog-tiles read API. It is safe for concurrent
// use.
type HTTP struct {
	base   string // without a slash at its end
	shown  string // base without the password
	client *http.Client
	sleep  func(context.Context, time.Duration) error
}

// NewHTTP takes the prefix of a log's resources: http://127.0.0.1:9090/ledger
// for instance. The client is used for its transport, cookies and timeout; nil
// is a plain one. Redirects to other hosts are not followed.
func NewHTTP(prefix string, client *http.Client) (*HTTP, error) {
	u, err := url.Parse(prefix)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return nil, fmt.Errorf("this is no URL: %w", e.Err) // e itself repeats all of it, also a password
	}
	if err != nil {
		return nil, fmt.Errorf("this is no URL: %w", err)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("the URL %q must begin with http:// or https:// and a host", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("the URL %q must have neither ? nor #: paths are added to it", u.Redacted())
	}
	var own http.Client
	if client != nil {
		own = *client
	} else {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 2 * httpWorkers
		own.Transport = transport
	}
	own.CheckRedirect = sameHost
	return &HTTP{base: strings.TrimRight(u.String(), "/"), shown: strings.TrimRight(u.Redacted(), "/"), client: &own, sleep: sleep}, nil
}

var errRedirect = errors.New("redirect refused")

// sameHost follows redirects within a host, and none to a weaker scheme.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > httpHops:
		return fmt.Errorf("%w: more than %d in a row", errRedirect, httpHops)
	case req.URL.Host != first.Host:
		return fmt.Errorf("%w: from %s to another host, %s", errRedirect, first.Host, req.URL.Host)
	case req.URL.Scheme != first.Scheme:
		return fmt.Errorf("%w: from %s to %s", errRedirect, first.Scheme, req.URL.Scheme)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Get fetches a resource. It tries again on failures of the connection and of
// the server.
func (h *HTTP) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	for try := 1; ; try++ {
		data, err := h.try(ctx, path, limit)
		if err == nil || ctx.Err() != nil {
			return data, err
		}
		var again *temporary
		if !errors.As(err, &again) || try == httpTries {
			return nil, err
		}
		if err := h.sleep(ctx, httpBackoff<<(try-1)); err != nil {
			return nil, err
		}
	}
}

// temporary is an error after which the same request may succeed.
type temporary struct{ err error }

func (t *temporary) Error() string { return t.err.Error() }
func (t *temporary) Unwrap() error { return t.err }

func (h *HTTP) try(ctx context.Context, path string, limit int64) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, httpTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "gzip, identity")
	resp, err := h.client.Do(req)
	if errors.Is(err, errRedirect) {
		return nil, err
	}
	if err != nil {
		return nil, &temporary{err}
	}
	defer resp.Body.Close()
	if err := answered(resp); err != nil {
		return nil, fmt.Errorf("%s/%s: %w", h.shown, path, err)
	}
	data, err := readBody(resp, limit)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", h.shown, path, err)
	}
	return data, nil
}

// answered says what is wrong with an answer before its body is read.
func answered(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusNotFound || code == http.StatusGone || code == http.StatusForbidden:
		// Object stores answer 403 for what is not there.
		return fmt.Errorf("%w (the server answers %s)", fs.ErrNotExist, resp.Status)
	case code >= 500 || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout:
		return &temporary{fmt.Errorf("the server answers %s", resp.Status)}
	default:
		return fmt.Errorf("the server answers %s", resp.Status)
	}
	if media, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && media == "text/html" {
		return fmt.Errorf("%w: the server answers with a web page", ErrNotALog)
	}
	return nil
}

// readBody reads an answer up to limit bytes after decompression.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	body := io.Reader(resp.Body)
	switch encoding := resp.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, &temporary{fmt.Errorf("cannot decompress the answer: %w", err)}
		}
		body = z
	default:
		return nil, fmt.Errorf("the answer is compressed as %q, which was not asked for", encoding)
	}
	data, err := readAtMost(body, limit, resp.ContentLength)
	if err != nil {
		return nil, &temporary{fmt.Errorf("the answer broke off: %w", err)}
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLong, limit)
	}
	return data, nil
}

// readAtMost reads limit+1 bytes at most into not much more memory than that, and
// leaves little garbage: it grows rarely.
// Expected is how many there may be, which need not be true.
func readAtMost(r io.Reader, limit, expected int64) ([]byte, error) {
	data := make([]byte, 0, min(max(expected, firstRead), limit)+1)
	for {
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF):
			if cap(data) > 2*len(data) {
				data = bytes.Clone(data)
			}
			return data, nil
		case err != nil:
			return nil, err
		case int64(len(data)) > limit:
			return data, nil
		case len(data) == cap(data):
			data = append(make([]byte, 0, min(8*int64(cap(data)), limit+1)), data...)
		}
	}
}
