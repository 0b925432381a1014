package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// maxAnswer is as much as is read of an answer, in bytes.
const maxAnswer = 64 << 10

// Call is a POST that a channel makes.
type Call struct {
	URL         string
	ContentType string
	Header      http.Header // may be nil
	Body        []byte
	// Timeout is for the whole exchange.
	Timeout time.Duration
	// Secrets are taken out of whatever the answer repeats of them.
	Secrets []string
}

// Answer is what came back, of any status.
type Answer struct {
	Status  int
	Header  http.Header
	Body    []byte
	secrets []string
}

// Exchange makes a call and reads the answer, at most 64 KiB of it. The error is
// an *Error.
func Exchange(ctx context.Context, doer Doer, call Call) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, call.Timeout)
	defer cancel()
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) { written.Store(true) },
	})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, call.URL, bytes.NewReader(call.Body))
	if err != nil {
		return Answer{}, &Error{Text: "the address cannot be used", Mend: "it must be a URL such as https://api.example"}
	}
	for key, values := range call.Header {
		req.Header[http.CanonicalHeaderKey(key)] = values
	}
	req.Header.Set("Content-Type", call.ContentType)
	req.Header.Set("User-Agent", "countersign")
	req.GetBody = nil // so that no client sends it a second time by itself
	res, err := doer.Do(req)
	if err != nil {
		return Answer{}, call.scrubbed(Unreachable(err, written.Load(), call.Timeout))
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil && res.StatusCode >= 300 {
		err = nil // the status says enough
	}
	if err != nil {
		return Answer{}, call.scrubbed(Unreachable(err, true, call.Timeout))
	}
	return Answer{Status: res.StatusCode, Header: res.Header, Body: body, secrets: call.Secrets}, nil
}

func (c Call) scrubbed(e *Error) *Error {
	clean := Scrub(e.Text, c.Secrets)
	if clean != e.Text || e.Cause != nil && Scrub(e.Cause.Error(), c.Secrets) != e.Cause.Error() {
		e.Text, e.Cause = clean, errors.New("an error that had a secret in it")
	}
	return e
}

// Scrub takes secrets out of s, as they are and as a URL or JSON has them.
func Scrub(s string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		quoted, _ := json.Marshal(secret) // every text can be
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted[1 : len(quoted)-1])} {
			s = strings.ReplaceAll(s, form, "***")
		}
	}
	return s
}

// OK says whether the status is one of success.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status <= 299 }

// Refused is the error of an answer without success: said is what the other
// side gave as the reason, mend what to do about it. When the status itself
// says so, it may be tried again.
func (a Answer) Refused(said, mend string) *Error {
	e := &Error{Retry: later(a.Status), Status: a.Status, Mend: mend, Text: fmt.Sprintf("refused with status %d", a.Status)}
	if e.Retry {
		e.After = retryAfter(a.Header)
	}
	e.Unsure = a.Status == http.StatusGatewayTimeout // what is behind the gateway may have it
	if said = a.Say(said); said != "" {
		e.Text += ": " + said
	}
	switch {
	case mend != "":
	case a.Status == http.StatusTooManyRequests:
		e.Mend = "it is sent again later; if this lasts, send less over this channel"
	case e.Retry:
		e.Mend = "the trouble is at the other side; it is sent again later"
	case a.Status >= 300 && a.Status <= 399:
		e.Mend = "redirects are not followed: configure the final address"
	default:
		e.Mend = "check the channel's settings"
	}
	return e
}

// Say makes a line of something that the other side wrote, without secrets.
func (a Answer) Say(text string) string { return Line(Scrub(text, a.secrets), maxSaid) }

// Reference makes the other side's name of a message of what it wrote, of at most
// limit characters and without secrets.
func (a Answer) Reference(text string, limit int) string {
	return plain.Line(Scrub(text, a.secrets), limit)
}

// Unclear is the error of an answer of success that cannot be understood: the
// message may have been taken.
func (a Answer) Unclear(text, mend string) *Error {
	return &Error{Unsure: true, Status: a.Status, Text: fmt.Sprintf("answered with status %d, but %s", a.Status, text), Mend: mend}
}
