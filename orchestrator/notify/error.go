package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/check"
	"github.com/countersign-dev/countersign/orchestrator/egress"
)

const (
	// maxAfter is the longest wait that an answer can impose.
	maxAfter = time.Hour
	// maxSaid is the most characters that are repeated of a foreign answer.
	maxSaid = 200
)

// Error says why a message was not taken. It never has a secret in it, nor the
// address that the message was sent to, which can be one.
type Error struct {
	// Retry says whether the same message may be taken later.
	Retry bool
	// After is how long the other side asked to wait before; 0 when it did not.
	After time.Duration
	// Unsure says that the message may have been taken all the same: it was sent,
	// and no answer came.
	Unsure bool
	// Status is that of the HTTP or SMTP answer; 0 when there was none.
	Status int
	// Text says what happened, in one line, and Mend what to do about it.
	Text, Mend string
	// Cause is what it came from, when that is an error of this process.
	Cause error
}

func (e *Error) Error() string {
	if e.Mend == "" {
		return e.Text
	}
	return e.Text + "; " + e.Mend
}

// Unwrap is the cause, by which a refusal of the Outside can be told.
func (e *Error) Unwrap() error { return e.Cause }

// Unreachable is the error of a connection that failed. written says whether
// something may have been sent over it, timeout is how long it had.
func Unreachable(err error, written bool, timeout time.Duration) *Error {
	if ue, ok := errors.AsType[*url.Error](err); ok { // it repeats the URL
		err = ue.Err
	}
	e := &Error{Retry: true, Unsure: written, Text: "no answer: " + check.Reason(err, timeout), Cause: err}
	if errors.Is(err, egress.ErrShadow) {
		e.Unsure, e.Text, e.Mend = false, "not sent: shadow mode is on", "switch it off with countersign shadow off"
		return e
	}
	if refused, ok := errors.AsType[*egress.RefusedError](err); ok {
		return &Error{
			Text: "not sent: the address " + refused.Addr.String() + " is " + refused.Why + " and was not connected to",
			Mend: refused.Mend, Cause: err,
		}
	}
	if _, ok := errors.AsType[*egress.UnsentError](err); ok {
		e.Unsure = false
	}
	if errors.Is(err, context.Canceled) {
		e.Text, e.Mend = "sending was ended before an answer came", "it is sent again at the next start"
		return e
	}
	e.Mend = "check that the address is right and can be reached from here"
	if certificate(err) {
		e.Retry, e.Unsure = false, false
		e.Mend = "check the address; a certificate of your own authority must be trusted by this machine (SSL_CERT_FILE)"
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		e.Unsure, e.Retry = false, !dns.IsNotFound
		e.Mend = "check the name of the host, and the name server of this machine"
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		e.Unsure = false
	}
	return e
}

// certificate says whether the other side is not who it should be.
func certificate(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}

// later says whether an HTTP status asks to come again.
func later(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500 && status != http.StatusNotImplemented && status != http.StatusHTTPVersionNotSupported
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds, or
// a date, which is measured by the Date of the same answer.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return Wait(float64(seconds))
	}
	until, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	sent, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return Wait(until.Sub(sent).Seconds())
}

// Wait is a number of seconds that the other side asked to wait: 0 at least,
// one hour at most.
func Wait(seconds float64) time.Duration {
	switch {
	case !(seconds > 0):
		return 0
	case seconds >= maxAfter.Seconds():
		return maxAfter
	}
	return time.Duration(seconds * float64(time.Second))
}
