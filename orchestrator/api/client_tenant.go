package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

const (
	// orderPatience is how long an order or a report may take.
	orderPatience = 30 * time.Second
	maxAnswer     = 64 << 20
)

// TenantClient asks a running Countersign for one tenant's matters. Its errors
// are sentences for the user, and never have the secret in them. It is safe
// for concurrent use.
type TenantClient struct {
	client     *Client
	id, secret string
}

// Tenant is a client for one tenant. An empty id is the own tenant's, an empty
// secret is not sent.
func (c *Client) Tenant(id, secret string) *TenantClient {
	return &TenantClient{client: c, id: id, secret: secret}
}

// Shadow says whether shadow mode is on.
func (t *TenantClient) Shadow(ctx context.Context) (Shadow, error) {
	return t.shadow(ctx, http.MethodGet, nil, nil)
}

// ShadowOn returns to shadow mode, in which nothing has an effect outside.
// who may be empty.
func (t *TenantClient) ShadowOn(ctx context.Context, who, reason string) (Shadow, error) {
	return t.shadow(ctx, http.MethodPost, nil, order{Who: who, Reason: reason})
}

// ShadowOff goes live: from now on effects are real. who orders it is required.
func (t *TenantClient) ShadowOff(ctx context.Context, who, reason string) (Shadow, error) {
	o := order{Who: who, Reason: reason}
	if err := o.check(); err != nil { // a header cannot even be sent with all of it
		return Shadow{}, err
	}
	return t.shadow(ctx, http.MethodDelete, http.Header{WhoHeader: {o.Who}, ReasonHeader: {o.Reason}}, nil)
}

func (t *TenantClient) shadow(ctx context.Context, method string, h http.Header, body any) (Shadow, error) {
	var s Shadow
	path, err := t.path(ctx, "/shadow")
	if err != nil {
		return s, err
	}
	return s, t.ask(ctx, method, path, h, body, &s)
}

// Report fetches the report of what happened in shadow mode as "json", "md"
// or "html". Zero times are the first entry and now.
func (t *TenantClient) Report(ctx context.Context, format string, from, to time.Time) ([]byte, error) {
	path, err := t.path(ctx, "/shadow/report")
	if err != nil {
		return nil, err
	}
	q := url.Values{"format": {format}}
	for name, at := range map[string]time.Time{"from": from, "to": to} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339))
		}
	}
	return t.do(ctx, http.MethodGet, path+"?"+q.Encode(), nil, nil)
}

// Incidents are the latest incidents, newest first.
func (t *TenantClient) Incidents(ctx context.Context) ([]incident.Summary, error) {
	var list IncidentList
	err := t.ask(ctx, http.MethodGet, "/incidents"+t.query(), nil, nil, &list)
	return list.Incidents, err
}

// Incident is one incident with its entries.
func (t *TenantClient) Incident(ctx context.Context, id string) (incident.Case, error) {
	var c incident.Case
	return c, t.ask(ctx, http.MethodGet, "/incidents/"+url.PathEscape(id)+t.query(), nil, nil, &c)
}

// Replay has one incident decided again from what was recorded.
func (t *TenantClient) Replay(ctx context.Context, id string) (incident.Replayed, error) {
	var r incident.Replayed
	return r, t.ask(ctx, http.MethodGet, "/incidents/"+url.PathEscape(id)+"/replay"+t.query(), nil, nil, &r)
}

// Mark records a person's verdict on an incident, "false_alarm" or
// "confirmed". who says so is required, note may be empty.
func (t *TenantClient) Mark(ctx context.Context, id, verdict, cause, who, note string) error {
	return t.ask(ctx, http.MethodPost, "/incidents/"+url.PathEscape(id)+"/mark"+t.query(), nil, mark{Verdict: verdict, Cause: cause, Who: who, Note: note}, nil)
}

// Request asks for an action of the catalogue about an open incident. who must be a
// contact of the tenant, reason may be empty.
func (t *TenantClient) Request(ctx context.Context, id, action, who, reason string) (Requested, error) {
	var r Requested
	return r, t.ask(ctx, http.MethodPost, "/incidents/"+url.PathEscape(id)+"/ask"+t.query(), nil, ask{Action: action, Who: who, Reason: reason}, &r)
}

func (t *TenantClient) query() string {
	if t.id == "" {
		return ""
	}
	return "?tenant=" + url.QueryEscape(t.id)
}

// path is a path of the tenant. Which one the own tenant is, the status says.
func (t *TenantClient) path(ctx context.Context, rest string) (string, error) {
	id := t.id
	if id == "" {
		s, err := t.client.Status(ctx)
		if err != nil {
			return "", err
		}
		if id = s.Tenant; id == "" {
			return "", fmt.Errorf("the sidecar at %s decides nothing, and so has no shadow mode", t.client.base)
		}
	}
	return "/tenant/" + url.PathEscape(id) + rest, nil
}

// ask sends body, unless it is nil, and decodes the answer into v.
func (t *TenantClient) ask(ctx context.Context, method, path string, h http.Header, body, v any) error {
	answer, err := t.do(ctx, method, path, h, body)
	if err != nil || v == nil {
		return err
	}
	if json.Unmarshal(answer, v) != nil {
		return fmt.Errorf("%s answers, but not with what was asked for: is it Countersign's admin address, and of this version?", t.client.base)
	}
	return nil
}

func (t *TenantClient) do(ctx context.Context, method, path string, h http.Header, body any) ([]byte, error) {
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(encoded)
	}
	ctx, cancel := context.WithTimeout(ctx, orderPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, t.client.base+path, content)
	if err != nil {
		return nil, fmt.Errorf("cannot ask the admin API at %s: %w", t.client.base, err)
	}
	for name, values := range h {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if t.secret != "" {
		req.Header.Set(SecretHeader, t.secret)
	}
	res, err := t.client.patient().Do(req)
	if err != nil {
		return nil, t.client.unreachable(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the admin API at %s broke off its answer: %w", t.client.base, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("the admin API at %s answers with more than 64 MiB", t.client.base)
	case res.StatusCode != http.StatusOK:
		return nil, t.refused(res, answer)
	}
	return answer, nil
}

// refused says why an order was not carried out, and what to do.
func (t *TenantClient) refused(res *http.Response, body []byte) error {
	var p problem
	if json.Unmarshal(body, &p) != nil || p.Error == "" {
		return t.client.refused(res.StatusCode, body)
	}
	switch res.StatusCode {
	case http.StatusUnauthorized:
		return errors.New("this needs the tenant's secret: give it with --secret-file FILE, with COUNTERSIGN_SECRET, or with --data DIR on the sidecar's machine")
	case http.StatusForbidden:
		return errors.New("the secret is not that of this tenant, or there is no such tenant: name the file with the right one by --secret-file; the refusal is recorded")
	case http.StatusNotFound:
		if len(p.Paths) > 0 {
			return fmt.Errorf("the sidecar at %s has nothing of the kind: it keeps no ledger, or is of an earlier version", t.client.base)
		}
	case http.StatusServiceUnavailable:
		return fmt.Errorf("the sidecar at %s cannot do that at present: %s", t.client.base, p.Error)
	}
	return errors.New(p.Error)
}

// WithSecret is a transport that sends a secret with each request to the scheme
// and host of a URL, and with none to another: a redirect takes it neither to
// another host nor out of TLS. It is for those who read /ledger/ of an
// orchestrator with several tenants.
func WithSecret(base http.RoundTripper, to *url.URL, secret string) http.RoundTripper {
	return secretTransport{base: base, scheme: to.Scheme, host: to.Host, secret: secret}
}

type secretTransport struct {
	base                 http.RoundTripper
	scheme, host, secret string
}

// RoundTrip implements http.RoundTripper.
func (t secretTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == t.scheme && r.URL.Host == t.host && t.secret != "" {
		r = r.Clone(r.Context())
		r.Header.Set(SecretHeader, t.secret)
	}
	return t.base.RoundTrip(r)
}
