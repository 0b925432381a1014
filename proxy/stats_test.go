package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestErrorsAreCountedByStatus: answers of 400 and above, and no others, once each.
func TestErrorsAreCountedByStatus(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(map[string]int{"/a": 503, "/b": 404, "/c": 700}[r.URL.Path])
	}))
	t.Cleanup(up.Close)
	e := start(t, up.URL)
	c := e.dial()
	for _, path := range []string{"/a", "/a", "/b", "/c"} {
		c.get(path)
	}
	e.counted("client_error=1 server_error=3")
	s := e.Stats()
	if want := (map[int]uint64{503: 2, 404: 1, 599: 1}); !maps.Equal(s.Statuses, want) {
		t.Errorf("counted %v, want %v", s.Statuses, want)
	}
	if s.Connects != 1 || s.ConnectTime <= 0 {
		t.Errorf("%d connections made in %v, want 1 over which all was sent", s.Connects, s.ConnectTime)
	}
}

func TestCertificateFault(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want fault
	}{
		{x509.CertificateInvalidError{Reason: x509.Expired}, faultUpstreamExpired},
		{&tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}, faultUpstreamExpired},
		{&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, faultUpstreamCertificate},
		{&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"}}, faultUpstreamCertificate},
		{errors.New("remote error: tls: handshake failure"), faultUpstreamTLS},
	} {
		if got := certificateFault(tc.err); got != tc.want {
			t.Errorf("%v is %v, want %v", tc.err, got, tc.want)
		}
	}
}
