package check

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
	"github.com/countersign-dev/countersign/orchestrator/policy"
	"github.com/countersign-dev/countersign/roots"
)

// maxBody is how much of an answer is read to look for a text in it.
const maxBody = 64 << 10

// Upstream is where the upstream is and how to reach it, as the proxy is told.
type Upstream struct {
	// URL is http://host:port, https://host:port or unix:///path/to.sock.
	URL string
	// Host is sent as the Host header; that of the URL when empty.
	Host string
	// CAFile is a PEM file of the authorities that may sign an https
	// upstream's certificate; the system's when empty.
	CAFile string
	// ServerName is sent in SNI and verified; the URL's host when empty.
	ServerName string
}

// target is one thing that is asked.
type target struct {
	name              string
	interval, timeout time.Duration
	// onlyIdle targets are asked only while there is no traffic.
	onlyIdle bool

	method, url, host string
	accepts           func(status int) bool
	expected          string // what accepts accepts, in words
	contains          []byte
	client            *http.Client
}

func newTarget(c policy.Check) (*target, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("the check %q has an unusable URL: write it as http://host:port/path", c.Name)
	}
	t := &target{
		name: c.Name, interval: seconds(c.IntervalSeconds), timeout: seconds(c.TimeoutSeconds),
		method: c.Method, url: c.URL, contains: []byte(c.BodyContains),
		accepts: func(status int) bool { return status >= 200 && status <= 299 }, expected: "200–299",
		client: NewClient(nil, nil),
	}
	if t.method == "" {
		t.method = http.MethodGet
	}
	if len(c.Status) > 0 {
		t.accepts = func(status int) bool { return slices.Contains(c.Status, status) }
		t.expected = either(c.Status)
	}
	return t, t.timed()
}

// newUpstream is the check of the upstream while there is no traffic.
func newUpstream(up Upstream, c policy.UpstreamCheck) (*target, error) {
	u, err := url.Parse(up.URL)
	if err != nil {
		return nil, errors.New("the upstream's URL cannot be read")
	}
	t := &target{
		name: policy.UpstreamTarget, interval: seconds(c.IntervalSeconds), timeout: seconds(c.TimeoutSeconds), onlyIdle: true,
		method: http.MethodGet, host: up.Host,
		accepts: func(status int) bool { return status < 500 }, expected: "one below 500",
	}
	var tlsConfig *tls.Config
	var dial func(context.Context, string, string) (net.Conn, error)
	switch u.Scheme {
	case "unix":
		path := u.Path
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		t.url = "http://localhost"
	case "http", "https":
		if u.Host == "" {
			return nil, errors.New("the upstream's URL has no host")
		}
		if tlsConfig, err = up.tls(); err != nil {
			return nil, err
		}
		t.url = u.Scheme + "://" + u.Host
	default:
		return nil, fmt.Errorf("the upstream's URL has the scheme %q: it must be http, https or unix", u.Scheme)
	}
	t.url += "/" + strings.TrimPrefix(c.Path, "/")
	if _, err := url.Parse(t.url); err != nil {
		return nil, fmt.Errorf("the path %q of the upstream's check is unusable: begin it with a slash", c.Path)
	}
	t.client = NewClient(dial, tlsConfig)
	return t, t.timed()
}

// timed says whether interval and timeout can be used.
func (t *target) timed() error {
	if t.interval <= 0 || t.timeout <= 0 {
		return fmt.Errorf("the check %q needs an interval and a timeout longer than 0", t.name)
	}
	return nil
}

func (up Upstream) tls() (*tls.Config, error) {
	c := &tls.Config{ServerName: up.ServerName, MinVersion: tls.VersionTLS12}
	if up.CAFile == "" {
		return c, nil
	}
	pem, err := os.ReadFile(up.CAFile)
	if err != nil {
		return nil, fmt.Errorf("cannot read the upstream's CA file: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no PEM certificate", up.CAFile)
	}
	return c, nil
}

// NewClient makes a client for single requests, by dial and TLS settings that may
// be nil. It follows no redirect, asks no proxy, and keeps no connection: who
// reuses one does not notice a listener that is gone.
func NewClient(dial func(context.Context, string, string) (net.Conn, error), tlsConfig *tls.Config) *http.Client {
	var transport http.RoundTripper = &http.Transport{
		DialContext: dial, TLSClientConfig: tlsConfig,
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxBody,
	}
	if tlsConfig == nil || tlsConfig.RootCAs == nil {
		transport = roots.Before(transport)
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// ask asks once and returns why it failed, empty when it did not. After the
// timeout it has failed.
func (t *target) ask(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, t.method, t.url, nil)
	if err != nil {
		return plain.Line(err.Error(), MaxReason)
	}
	req.Host = t.host
	req.Header.Set("User-Agent", "countersign-check")
	res, err := t.client.Do(req)
	if err != nil {
		return Reason(err, t.timeout)
	}
	defer func() { _ = res.Body.Close() }()
	if !t.accepts(res.StatusCode) {
		return fmt.Sprintf("status %d instead of %s", res.StatusCode, t.expected)
	}
	return t.look(res.Body)
}

// look searches the answer for the text that it must have. Without one the
// status is all that counts: an answer may be a stream that never ends.
func (t *target) look(body io.Reader) string {
	if len(t.contains) == 0 {
		return ""
	}
	read, err := io.ReadAll(io.LimitReader(body, maxBody))
	if bytes.Contains(read, t.contains) {
		return ""
	}
	if err != nil {
		return Reason(err, t.timeout)
	}
	if len(read) == maxBody {
		return plain.Line(fmt.Sprintf("the first 64 KiB of the body lack %q", t.contains), MaxReason)
	}
	return plain.Line(fmt.Sprintf("body lacks %q", t.contains), MaxReason)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// either writes a list of statuses as "200, 201 or 204".
func either(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
