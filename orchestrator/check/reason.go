package check

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// MaxReason is the most characters of a reason.
const MaxReason = 200

// Reason says in a few plain words why a request failed that had timeout to
// succeed. Addresses are left out: whoever reads it knows the target.
func Reason(err error, timeout time.Duration) string {
	if isTimeout(err) {
		return "timed out after " + Seconds(timeout)
	}
	if text, ok := certificateReason(err); ok {
		return text
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return plain.Line("host "+dns.Name+" not found", MaxReason)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ENOENT):
		return "no socket there"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed before the end of the answer"
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if ue, ok := errors.AsType[*url.Error](err); ok { // it repeats the URL
		err = ue.Err
	}
	return plain.Line(err.Error(), MaxReason)
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

func certificateReason(err error) (string, bool) {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the certificate is signed by an unknown authority", true
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		return plain.Line("the certificate is not for "+host.Host, MaxReason), true
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the certificate has expired or is not yet valid", true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return "the answer is not TLS", true
	}
	return "", false
}

// Seconds writes a duration as "5 s" or "0.25 s".
func Seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'g', 4, 64) + " s"
}
