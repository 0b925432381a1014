package recovery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/check"
	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/plain"
)

const (
	maxAttempts = 4
	// firstWait is before the second try; it doubles.
	firstWait = time.Second
	// maxWait is how long the other side may ask to wait.
	maxWait     = 30 * time.Second
	maxResponse = 64 << 10
	maxExcerpt  = 300
)

// Executor sends actions. The zero Executor is ready, and safe for concurrent use.
type Executor struct {
	// Getenv reads the environment; os.Getenv when nil.
	Getenv func(string) string
	// Now is the clock; time.Now when nil.
	Now func() time.Time
	// Wait returns after d, or with an error when ctx ends; a timer when nil.
	Wait func(ctx context.Context, d time.Duration) error
	// Jitter shortens a wait at random; to between half and all of it when nil.
	Jitter func(d time.Duration) time.Duration
}

// Execute sends a, which a person has authorized, through d, which must be what
// [egress.Gate.HTTP] makes for [Action.HTTP]. The caller must have the
// authorization durable in the ledger first, and give the same v and key when it
// calls again after a crash; [Key] makes a key.
//
// It tries at most four times, with the same key: again when nothing was sent,
// and after the statuses 429, 502, 503 and 504. When a request was sent and no
// answer came it is not known whether it ran: only an Idempotent action is then
// sent again.
//
// The receipt is always to be recorded. The error is an [*Error] unless it was
// accepted.
func (e Executor) Execute(ctx context.Context, d egress.Doer, a Action, v Vars, key string) (Receipt, error) {
	e = e.ready()
	m := a.message(v, key)
	r := Receipt{Action: a.Name, ActionDigest: a.Digest(), Key: key, RequestDigest: m.digest(), Outcome: Unsent, Started: e.Now().UTC()}
	err := v.complete()
	if err == nil && !isKey(key) {
		err = errors.New("an action cannot be run without an idempotency key of letters, digits, hyphens and underscores")
	}
	var s secrets
	if err == nil {
		s, err = a.load(e.Getenv)
	}
	if err != nil {
		r.Ended, r.Note = r.Started, err.Error()
		return r, &Error{Outcome: Unsent, Text: a.Name + " was not run", Mend: err.Error(), Err: err}
	}
	c := &course{executor: e, doer: d, action: a, message: m, secrets: s, receipt: r}
	failed := c.run(ctx)
	c.receipt.Ended = e.Now().UTC()
	if failed == nil {
		return c.receipt, nil
	}
	failed.Outcome, failed.Status = c.receipt.Outcome, c.receipt.Status
	c.receipt.Note = plain.Line(failed.Error(), maxValue)
	return c.receipt, failed
}

func (e Executor) ready() Executor {
	if e.Getenv == nil {
		e.Getenv = os.Getenv
	}
	if e.Now == nil {
		e.Now = time.Now
	}
	if e.Wait == nil {
		e.Wait = sleep
	}
	if e.Jitter == nil {
		e.Jitter = func(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
	}
	return e
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// course is the sending of one action.
type course struct {
	executor Executor
	doer     egress.Doer
	action   Action
	message  message
	secrets  secrets
	receipt  Receipt
}

// verdict is what one try came to: nil when it was accepted.
type verdict struct {
	err *Error
	// again says that there may be another try, not before after.
	again bool
	after time.Duration
}

func (c *course) run(ctx context.Context) *Error {
	wait := firstWait
	for {
		c.receipt.Attempts++
		v := c.try(ctx)
		if v.err == nil || !v.again || c.receipt.Attempts >= maxAttempts {
			return v.err
		}
		if v.after > maxWait {
			v.err.Mend = fmt.Sprintf("the other side asks to wait %s, try after that", brief(v.after))
			return v.err
		}
		if c.executor.Wait(ctx, max(v.after, c.executor.Jitter(wait))) != nil {
			return v.err
		}
		wait *= 2
	}
}

func (c *course) try(ctx context.Context) verdict {
	req, err := c.request(ctx)
	if err != nil {
		return verdict{err: &Error{Text: c.action.Name + " was not run", Mend: "its url or a header in the catalogue cannot be used"}}
	}
	res, err := c.doer.Do(req)
	if err != nil {
		return c.failed(err)
	}
	defer func() { _ = res.Body.Close() }()
	return c.answered(res)
}

func (c *course) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, c.action.Method, c.action.URL, strings.NewReader(c.message.body))
	if err != nil {
		return nil, err
	}
	for _, f := range c.message.fields {
		req.Header.Set(f.Name, f.Value)
	}
	for name, value := range c.secrets.headers {
		req.Header.Set(name, value)
	}
	if !c.action.Unsigned {
		at := c.executor.Now()
		req.Header.Set(headerTimestamp, strconv.FormatInt(at.Unix(), 10))
		req.Header.Set(headerSignature, c.secrets.signature(c.receipt.Key, at, c.message.body))
	}
	return req, nil
}

// failed judges a try without an answer.
func (c *course) failed(err error) verdict {
	name := c.action.Name
	if _, unsent := errors.AsType[*egress.UnsentError](err); !unsent {
		c.receipt.Outcome = Unknown
		return verdict{again: c.action.Idempotent && !errors.Is(err, egress.ErrShadow), err: &Error{
			Text: fmt.Sprintf("%s was sent, and it is not known whether it ran (%s)", name, c.reason(err)),
			Mend: "look at the other side for the key " + c.receipt.Key, Err: err,
		}}
	}
	_, refused := errors.AsType[*egress.RefusedError](err)
	if refused || errors.Is(err, egress.ErrShadow) {
		return verdict{err: &Error{Text: name + " was not sent", Mend: c.reason(err), Err: err}}
	}
	failed := &Error{Text: fmt.Sprintf("%s was not sent (%s)", name, c.reason(err)), Mend: "check that the host of its url can be reached from here", Err: err}
	if isTLS(err) {
		failed.Mend = "its url must be that of a server whose certificate can be verified here"
		return verdict{err: failed}
	}
	return verdict{again: true, err: failed}
}

// isTLS says whether there is a server, but not one that can be trusted: one
// that will be the same at the next try.
func isTLS(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, noTLS := errors.AsType[tls.RecordHeaderError](err)
	return certificate || noTLS || errors.Is(err, http.ErrSchemeMismatch)
}

func (c *course) reason(err error) string {
	if refused, ok := errors.AsType[*egress.RefusedError](err); ok {
		return refused.Error()
	}
	if errors.Is(err, egress.ErrShadow) {
		return egress.ErrShadow.Error()
	}
	return string(c.secrets.strike([]byte(check.Reason(err, c.action.Timeout))))
}

// answered judges an answer. Its status is what counts; a body that does not
// come whole changes nothing.
func (c *course) answered(res *http.Response) verdict {
	r := &c.receipt
	body, broken := io.ReadAll(io.LimitReader(res.Body, maxResponse))
	r.Status, r.ResponseBytes, r.ResponseDigest = res.StatusCode, len(body), digestOf(body)
	// Once more when what a reader does not see is gone: it may have stood within one.
	whole := plain.Line(string(c.secrets.strike(body)), maxResponse)
	r.Response = plain.Line(string(c.secrets.strike([]byte(whole))), maxExcerpt)
	if res.StatusCode >= 200 && res.StatusCode <= 299 {
		r.Outcome, r.Note = Accepted, ""
		if broken != nil {
			r.Note = "the rest of the answer was not read: " + c.reason(broken)
		}
		return verdict{}
	}
	// What an earlier try may have done stays unknown.
	switch {
	case res.StatusCode == http.StatusBadGateway, res.StatusCode == http.StatusGatewayTimeout:
		r.Outcome = Unknown
	case r.Outcome != Unknown:
		r.Outcome = Refused
	}
	v := verdict{err: &Error{
		Text: fmt.Sprintf("%s was answered with status %d", c.action.Name, res.StatusCode), Mend: c.action.mend(res.StatusCode),
	}}
	switch res.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		v.again, v.after = true, retryAfter(res.Header.Get("Retry-After"), c.executor.Now())
	}
	return v
}

// retryAfter is how long the other side asks to wait: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		return time.Duration(min(seconds, 1<<31)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
