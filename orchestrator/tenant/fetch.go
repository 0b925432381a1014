package tenant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/check"
)

const (
	// Interval is the time between two requests for a document.
	Interval = 5 * time.Second
	// timeout is how long one may take, its body included.
	timeout = 4 * time.Second
	// maxDocument is the most bytes a document may have.
	maxDocument = 1 << 20
	// secretHeader is the one that the admin API of a sidecar reads.
	secretHeader = "X-Tenant-Secret"
)

// source is where a health document is asked for.
type source struct {
	url, secret string
	client      *http.Client
	timeout     time.Duration
}

func newSource(url, secret string) *source {
	return &source{url: url, secret: secret, client: check.NewClient(nil, nil), timeout: timeout}
}

// fetch asks for the document. The error says shortly why there is none.
func (s *source) fetch(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, errors.New("the URL cannot be used")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "countersign")
	if s.secret != "" {
		req.Header.Set(secretHeader, s.secret)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return nil, errors.New(check.Reason(err, s.timeout))
	}
	defer func() { _ = res.Body.Close() }()
	switch encoding := res.Header.Get("Content-Encoding"); {
	case res.StatusCode >= 300 && res.StatusCode <= 399:
		return nil, fmt.Errorf("status %d instead of 200: redirects are not followed", res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d instead of 200", res.StatusCode)
	case encoding != "" && encoding != "identity":
		return nil, errors.New("the health document is compressed, though it was asked for as it is")
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxDocument+1))
	if err != nil {
		return nil, errors.New(check.Reason(err, s.timeout))
	}
	if len(body) > maxDocument {
		return nil, errors.New("the health document has more than 1 MiB")
	}
	return body, nil
}
