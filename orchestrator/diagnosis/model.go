package diagnosis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Doer sends a request, as the egress gate does: it is what decides whether
// anything may leave at all, and where to.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Provider speaks one wire format. It does no I/O.
type Provider interface {
	// Name is the provider's, Model the model's.
	Name() string
	Model() string
	// Request is what is sent for a prompt: where to, with which headers and body.
	Request(p Prompt) (Request, error)
	// Read takes the text of the answer from a response of status 200.
	Read(body []byte) (Reply, error)
	// Problem says in a few words what a response of another status says.
	Problem(body []byte) string
}

// Request is one HTTP POST.
type Request struct {
	URL    string
	Header http.Header
	Body   []byte
}

// Reply is what a model has answered.
type Reply struct {
	Text string
	// Model is the one that answered, as it says itself.
	Model                     string
	InputTokens, OutputTokens int
}

// ModelConfig says how a model is asked.
type ModelConfig struct {
	// ID is the diagnoser's name; the provider's when it is empty.
	ID       string
	Provider Provider
	// FiguresOnly leaves out what others wrote: routes, titles, reasons, names of targets and gates.
	FiguresOnly bool
	Doer        Doer
	Lens        Lens
	// Timeout is how long one request may take; 7 s when 0.
	Timeout time.Duration
	// HourlyCalls is how many requests are made in any hour; 20 when 0.
	HourlyCalls int
	// MicroUSDPerInputToken and -OutputToken are the prices, for the record; 0 is
	// not known. A price of 3 dollars for a million tokens is 3.
	MicroUSDPerInputToken, MicroUSDPerOutputToken float64
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Model is a diagnoser that asks a language model. Safe for concurrent use.
type Model struct {
	cfg ModelConfig

	mu     sync.Mutex
	calls  []time.Time // of the last hour, oldest first
	resume time.Time   // before which the provider asked not to be called
}

const (
	defaultTimeout = 7 * time.Second
	defaultCalls   = 20
	maxResponse    = 256 << 10 // bytes
	maxRest        = time.Hour
	defaultRest    = 30 * time.Second
	attempts       = 2
)

// Again is what the second request has behind the system's part of the first.
const Again = "\nYour last answer could not be used. Answer with the JSON object alone, cite ids that exist, and take the cause from the list.\n"

// NewModel makes a Model, or says what is missing.
func NewModel(cfg ModelConfig) (*Model, error) {
	if cfg.Provider == nil || cfg.Doer == nil {
		return nil, errors.New("a model needs a provider and something to send requests with")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.HourlyCalls <= 0 {
		cfg.HourlyCalls = defaultCalls
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Model{cfg: cfg}, nil
}

// Name implements [Diagnoser].
func (m *Model) Name() string {
	if m.cfg.ID != "" {
		return m.cfg.ID
	}
	return m.cfg.Provider.Name()
}

// prompt is what is sent for the evidence.
func (m *Model) prompt(e *Evidence) Prompt {
	if m.cfg.FiguresOnly {
		e = copyOf(e)
		for i := range e.Facts {
			f := &e.Facts[i]
			if f.Text = ""; f.Name != Failure && f.Name != StatusCode { // whose subjects are our own words
				f.Subject = ""
			}
		}
	}
	return Ask(e, m.cfg.Lens)
}

// Preview is exactly what would be sent for the evidence, but for the headers.
func (m *Model) Preview(e *Evidence) (Request, error) {
	r, err := m.cfg.Provider.Request(m.prompt(e))
	r.Header = nil
	return r, err
}

// Diagnose implements [Diagnoser]: it asks once and, when the answer is not valid,
// once more.
func (m *Model) Diagnose(ctx context.Context, e *Evidence) Opinion {
	o := Opinion{Diagnoser: m.Name(), Lens: m.cfg.Lens, Model: m.cfg.Provider.Model()}
	prompt := m.prompt(e)
	began := m.cfg.Now()
	for o.Attempts < attempts {
		if problem := m.admit(); problem != "" {
			o.Problem = join(o.Problem, problem)
			break
		}
		o.Attempts++
		o.PromptDigest = prompt.Digest()
		reply, err := m.ask(ctx, prompt)
		o.Cost = o.Cost.plus(m.cost(reply))
		if reply.Model != "" {
			o.Model = Inert(reply.Model, maxSubject)
		}
		if unsent(err) {
			m.takeBack()
			if o.Attempts--; o.Attempts == 0 {
				o.PromptDigest = ""
			}
		}
		var invalid *invalidError
		if err == nil {
			var a Answer
			if a, err = ReadAnswer(reply.Text, e); err == nil {
				o.Answer = &a
				break
			}
			err = &invalidError{err}
		}
		o.Problem = join(o.Problem, foreign(err.Error(), maxPhrase))
		if !errors.As(err, &invalid) || ctx.Err() != nil {
			break
		}
		prompt.System += Again
	}
	o.Latency = m.cfg.Now().Sub(began)
	return o
}

func join(before, more string) string {
	if before == "" {
		return more
	}
	return before + "; then: " + more
}

// invalidError is an answer that came and cannot be used: it is asked for again.
type invalidError struct{ err error }

func (e *invalidError) Error() string { return e.err.Error() }
func (e *invalidError) Unwrap() error { return e.err }

// admit says why no request may be made now, and counts it when one may.
func (m *Model) admit() string {
	now := m.cfg.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if now.Before(m.resume) && m.resume.Sub(now) <= maxRest {
		return fmt.Sprintf("the provider asked not to be called for another %s", m.resume.Sub(now).Round(time.Second))
	}
	for len(m.calls) > 0 && (now.Sub(m.calls[0]) >= time.Hour || m.calls[0].After(now)) {
		m.calls = m.calls[1:]
	}
	if len(m.calls) >= m.cfg.HourlyCalls {
		return fmt.Sprintf("the budget of %d requests an hour is used up", m.cfg.HourlyCalls)
	}
	m.calls = append(m.calls, now)
	return ""
}

// unsent says that a request failed before anything of it had left.
func unsent(err error) bool {
	var u interface{ Unsent() bool }
	return errors.As(err, &u) && u.Unsent()
}

// takeBack has a request that was not sent not count.
func (m *Model) takeBack() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last := len(m.calls) - 1; last >= 0 {
		m.calls = m.calls[:last]
	}
}

// Charge counts requests that an earlier process has made, as far as they are on record:
// those of one that ended before it could write them down are not known.
func (m *Model) Charge(at time.Time, requests int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range min(requests, attempts) {
		m.calls = append(m.calls, at)
	}
	slices.SortFunc(m.calls, time.Time.Compare)
}

func (m *Model) cost(r Reply) Cost {
	c := Cost{InputTokens: max(0, r.InputTokens), OutputTokens: max(0, r.OutputTokens)}
	c.MicroUSD = int64(float64(c.InputTokens)*m.cfg.MicroUSDPerInputToken + float64(c.OutputTokens)*m.cfg.MicroUSDPerOutputToken)
	return c
}

// ask makes one request.
func (m *Model) ask(ctx context.Context, p Prompt) (Reply, error) {
	out, err := m.cfg.Provider.Request(p)
	if err != nil {
		return Reply{}, fmt.Errorf("the request cannot be made: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, out.URL, bytes.NewReader(out.Body))
	if err != nil {
		return Reply{}, errors.New("the base URL of the provider is not one")
	}
	for name, values := range out.Header {
		req.Header[name] = values
	}
	res, err := m.cfg.Doer.Do(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return Reply{}, errors.New("no answer came in time")
		}
		return Reply{}, fmt.Errorf("the provider cannot be reached: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	body = withoutKey(body, out.Header)
	switch {
	case err != nil && ctx.Err() != nil:
		return Reply{}, errors.New("the answer did not come to its end in time")
	case err != nil:
		return Reply{}, fmt.Errorf("the answer broke off: %w", err)
	case len(body) > maxResponse:
		return Reply{}, fmt.Errorf("the provider's answer is larger than %d bytes", maxResponse)
	case res.StatusCode != http.StatusOK:
		return Reply{}, m.refused(res, body)
	}
	reply, err := m.cfg.Provider.Read(body)
	if err != nil {
		return reply, &invalidError{err}
	}
	return reply, nil
}

// withoutKey is a response without the key that it was asked with, should it have been
// sent back: what is said of a response is kept for good.
func withoutKey(body []byte, asked http.Header) []byte {
	for _, name := range []string{"X-Api-Key", "Authorization"} {
		if key := strings.TrimPrefix(asked.Get(name), "Bearer "); len(key) >= 8 {
			body = bytes.ReplaceAll(body, []byte(key), []byte(masked("key")))
		}
	}
	return body
}

// refused says what a status other than 200 means, and lets the provider rest for
// as long as it asks for: 429 is its limit, 529 and 503 that it is overloaded.
func (m *Model) refused(res *http.Response, body []byte) error {
	says := m.cfg.Provider.Problem(body)
	what := fmt.Sprintf("the provider answers %d", res.StatusCode)
	if says != "" {
		what += ": " + says
	}
	if s := res.StatusCode; s == http.StatusTooManyRequests || s == 529 || s == http.StatusServiceUnavailable {
		rest := m.retryAfter(res.Header.Get("Retry-After"))
		m.mu.Lock()
		m.resume = m.cfg.Now().Add(rest)
		m.mu.Unlock()
		what += fmt.Sprintf("; it is left alone for %s", rest.Round(time.Second))
	}
	return errors.New(what)
}

// retryAfter reads the header of RFC 9110 §10.2.3: seconds, or a date.
func (m *Model) retryAfter(h string) time.Duration {
	rest := time.Duration(-1)
	if seconds, err := strconv.ParseFloat(h, 64); err == nil && seconds >= 0 && seconds <= maxRest.Seconds() {
		rest = time.Duration(seconds * float64(time.Second))
	} else if err == nil && seconds > 0 {
		rest = maxRest
	} else if at, err := http.ParseTime(h); err == nil {
		rest = at.Sub(m.cfg.Now())
	}
	if rest < 0 {
		return defaultRest
	}
	return min(rest, maxRest)
}
