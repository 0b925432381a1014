package approval

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files and the screenshots of the documentation")

const (
	tenant   = "acme"
	incident = "inc-850da6-1767323095"
	action   = "sha256:9f2feb0f1ef425b292f2f94bc8482494df430413f3e2b1f2f0f4a2c4f5a7c111"
	policy   = "sha256:0a738b0b9a70b7da0a9d1ab7bc3a2f2de1c2f2ab8e64d0c6fbe7d9f0a1b20138"
)

var began = time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)

func testKey(seed byte) *Key {
	return newKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
}

// desk is a Desk whose ledger is a slice: what is appended is folded, in order.
type desk struct {
	mu      sync.Mutex
	now     time.Time
	around  Circumstances
	request Request
	steps   []Step
	looks   int
	fail    error
	view    View
}

// scene is a request, its key, and the handler in front.
type scene struct {
	testing.TB
	*desk
	key     *Key
	handler *Handler
	refused []Refusal
	log     bytes.Buffer
	links   int
}

func newScene(t testing.TB, asked Step) *scene {
	t.Helper()
	s := &scene{TB: t, key: testKey(1), desk: &desk{now: began, around: Circumstances{ActionDigest: action, PolicyDigest: policy}}}
	asked.Kind, asked.At, asked.Tenant, asked.Incident = StepAsked, began, tenant, incident
	asked.ActionDigest, asked.PolicyDigest = action, policy
	if asked.Quorum == 0 {
		asked.Quorum = 1
	}
	if asked.Risk == "" {
		asked.Risk = Medium
	}
	s.record(asked)
	public, err := ParsePublicURL("https://approve.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s.handler, err = NewHandler(Options{
		Key: s.key, Desk: s.desk, Public: public, Now: s.clock, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
		Refused: func(r Refusal) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refused = append(s.refused, r)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *scene) record(step Step) {
	s.Helper()
	if err := s.request.Apply(step); err != nil {
		s.Fatal(err)
	}
	s.steps = append(s.steps, step)
}

// offer records a link for a contact and returns its claims and token.
func (s *scene) offer(contact string) (Claims, string) {
	s.Helper()
	s.links++
	step := Step{
		Kind: StepOffered, At: s.now, Tenant: tenant, Incident: incident, LinkID: contact + "-" + strings.Repeat("x", s.links), Contact: contact,
		IssuedAt: s.now, ExpiresAt: s.now.Add(LinkLife), ActionDigest: s.request.ActionDigest, PolicyDigest: s.request.PolicyDigest,
	}
	s.record(step)
	token, err := s.key.Mint(step.Claims())
	if err != nil {
		s.Fatal(err)
	}
	return step.Claims(), token
}

func (s *scene) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) circumstances() Circumstances {
	n := d.around
	n.Time = d.now
	return n
}

func (d *desk) Look(_ context.Context, c Claims) (View, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks++
	if d.fail != nil {
		return View{}, d.fail
	}
	if c.Tenant != tenant || c.Incident != incident {
		return View{}, ErrNoRequest
	}
	v := d.view
	v.Standing, v.Incident, v.Tenant = d.request.Stand(c, d.circumstances()), incident, tenant
	v.Approvals = d.request.Approvals
	return v, nil
}

func (d *desk) Decide(_ context.Context, c Claims, v Verdict) (Outcome, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return Outcome{}, d.fail
	}
	o, steps := d.request.Decide(c, v, d.circumstances())
	for _, s := range steps {
		if err := d.request.Apply(s); err != nil {
			return Outcome{}, err
		}
		d.steps = append(d.steps, s)
	}
	return o, nil
}

// kinds are the steps since the links were offered; a refusal with its reason.
func (d *desk) kinds() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, s := range d.steps {
		switch s.Kind {
		case StepAsked, StepOffered:
		case StepRefused:
			out = append(out, string(s.Kind)+" "+string(s.Reason))
		default:
			out = append(out, string(s.Kind))
		}
	}
	return out
}

func (s *scene) expect(want ...string) {
	s.Helper()
	if got := s.kinds(); !slices.Equal(got, want) {
		s.Errorf("steps %q, want %q", got, want)
	}
}

func (s *scene) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *scene) get(token string) *httptest.ResponseRecorder {
	return s.do(httptest.NewRequest(http.MethodGet, Path+"?token="+url.QueryEscape(token), nil))
}

// send is a decision as our page's form sends it.
func (s *scene) send(to, token string, change ...func(*http.Request, url.Values)) *http.Request {
	values := url.Values{"token": {token}, "code": {s.key.code(token)}, "reason": {""}}
	r := httptest.NewRequest(http.MethodPost, Path+to, nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Origin", "null")
	for _, f := range change {
		f(r, values)
	}
	body := values.Encode()
	r.Body, r.ContentLength = http.NoBody, int64(len(body))
	r.Body = readCloser{strings.NewReader(body)}
	return r
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

func (s *scene) confirm(token string) *httptest.ResponseRecorder {
	return s.do(s.send("/confirm", token))
}
func (s *scene) reject(token string) *httptest.ResponseRecorder {
	return s.do(s.send("/reject", token))
}

func isReason(err error, why Reason) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Reason == why
}

func ptr[T any](v T) *T { return &v }
