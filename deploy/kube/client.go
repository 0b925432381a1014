// Package kube asks a Kubernetes API server for the few things that Countersign
// needs of it, by its REST interface and a service account's token: one object
// read, made or patched, a list page by page, the server's version.
//
// https://kubernetes.io/docs/reference/using-api/api-concepts/
package kube

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

const (
	// patience is how long one answer may take.
	patience = 10 * time.Second
	// maxAnswer is the most that one answer may have: a page of 500 pods has some 10 MB.
	maxAnswer = 64 << 20
	// account is where a pod finds its service account.
	account = "/var/run/secrets/kubernetes.io/serviceaccount/"
)

// Server says where an API server is and as whom it is asked.
type Server struct {
	// URL is its scheme, host and port.
	URL string
	// TokenFile holds a bearer token; it is read for every request, as tokens are
	// exchanged while they are used. Empty to ask without one.
	TokenFile string
	// CAFile holds the PEM certificates that the server's own is checked against;
	// it is read for every connection. Empty for those of the system.
	CAFile string
}

// InCluster is the API server of the cluster that this process is a pod of.
func InCluster(getenv func(string) string) (Server, error) {
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return Server{}, errors.New("this is no pod of a cluster (KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set): name the API server with --kube-api, --kube-token-file and --kube-ca-file")
	}
	return Server{URL: "https://" + net.JoinHostPort(host, port), TokenFile: account + "token", CAFile: account + "ca.crt"}, nil
}

// Client asks one API server. It is safe for concurrent use.
type Client struct {
	server Server
	http   *http.Client
}

// New returns a client of the server, without asking it anything.
func New(s Server) (*Client, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("%q is not the address of an API server: write it as https://10.0.0.1:6443", s.URL)
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, fmt.Errorf("the address of the API server, %q, must have scheme, host and port alone", u.Redacted())
	}
	if u.Scheme == "http" && s.TokenFile != "" {
		return nil, fmt.Errorf("a token would be sent to %s in the clear: use https", s.URL)
	}
	s.URL = u.Scheme + "://" + u.Host
	c := &Client{server: s}
	c.http = &http.Client{
		// The server is near and meant literally: no HTTP_PROXY, no redirects.
		Transport:     &http.Transport{DialTLSContext: c.dialTLS, MaxIdleConns: 2, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// dialTLS trusts what the file says when the connection is made.
func (c *Client) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.server.CAFile != "" {
		pem, err := os.ReadFile(c.server.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the certificates that the API server's own is checked against: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate to check the API server's own against", c.server.CAFile)
		}
	}
	d := tls.Dialer{Config: config}
	return d.DialContext(ctx, network, address)
}

// Refused is an answer of the API server that is an error.
type Refused struct {
	Code    int    // HTTP status
	Message string // the server's words
}

func (r *Refused) Error() string {
	return fmt.Sprintf("the API server answered %d %s: %s", r.Code, http.StatusText(r.Code), r.Message)
}

// Is reports whether err is the API server's answer with that status: 404 for
// what is not there, 409 for what somebody else was faster to change or to make,
// 403 for what the service account may not do.
func Is(err error, status int) bool {
	r, ok := errors.AsType[*Refused](err)
	return ok && r.Code == status
}

// Get reads the object at path, such as /api/v1/namespaces/default, into v.
func (c *Client) Get(ctx context.Context, path string, v any) error {
	return c.do(ctx, http.MethodGet, path, nil, "", nil, v)
}

// Create makes object in the collection at path and reads what was made into v.
// An object of that name that is there already is the error 409.
func (c *Client) Create(ctx context.Context, path string, object, v any) error {
	return c.do(ctx, http.MethodPost, path, writer(), "application/json", object, v)
}

// The two ways of merging a patch into an object. In a patch that names
// metadata.resourceVersion, another version than that of the object is the error
// 409: nothing of another writer is ever overwritten unseen.
const (
	// Merge replaces lists whole (RFC 7386).
	Merge = "application/merge-patch+json"
	// Strategic merges the items of lists by their key, such as name.
	Strategic = "application/strategic-merge-patch+json"
)

// Patch merges patch into the object at path and reads what became of it into v.
func (c *Client) Patch(ctx context.Context, path, kind string, patch, v any) error {
	return c.do(ctx, http.MethodPatch, path, writer(), kind, patch, v)
}

// writer names us as the one who wrote a field.
func writer() url.Values { return url.Values{"fieldManager": {"countersign-webhook"}} }

func (c *Client) do(ctx context.Context, method, path string, query url.Values, kind string, body, v any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := c.request(ctx, method, path, query, kind, body)
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("the API server at %s broke off its answer: %w", c.server.URL, err)
	case len(answer) > maxAnswer:
		return fmt.Errorf("the API server at %s answered with more than %d MiB", c.server.URL, maxAnswer>>20)
	case res.StatusCode < 200 || res.StatusCode > 299:
		return refusal(res.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("the API server at %s gave an answer to %s %s that cannot be read: %w", c.server.URL, method, path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values, kind string, body any) (*http.Request, error) {
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server.URL+path, bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = query.Encode()
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "countersign")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if c.server.TokenFile != "" {
		token, err := os.ReadFile(c.server.TokenFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the service account's token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	return req, nil
}

// refusal takes the message from the Status that the server answers with.
func refusal(code int, answer []byte) *Refused {
	var status struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(answer, &status) != nil || status.Message == "" {
		status.Message = "no reason was given"
	}
	return &Refused{Code: code, Message: status.Message}
}

// unreachable strips the method and URL that url.Error repeats.
func (c *Client) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return fmt.Errorf("the API server at %s did not answer within %v", c.server.URL, patience)
		}
		err = u.Err
	}
	return fmt.Errorf("cannot reach the API server at %s: %w", c.server.URL, err)
}
