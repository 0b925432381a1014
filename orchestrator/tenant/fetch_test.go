package tenant

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const secret = "hunter2-hunter2-hunter2"

// service serves documents by path, good and bad ones.
func service(t *testing.T) (url string, seen func() http.Header) {
	t.Helper()
	var header http.Header
	good := string(read(t, "alertengine.json"))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with %v", r.Header)
	}))
	t.Cleanup(elsewhere.Close)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case "/huge":
			_, _ = io.WriteString(w, `{"status":"`+strings.Repeat("x", maxDocument)+`"}`)
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, strings.Repeat(" ", 1<<20))
			_ = z.Close()
		case "/slow":
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, " ")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(time.Millisecond) // a byte now and then
			}
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/cut":
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "{")
		default:
			header = r.Header
			_, _ = io.WriteString(w, good)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() http.Header { return header }
}

func TestFetch(t *testing.T) {
	url, seen := service(t)
	body, err := newSource(url, secret).fetch(t.Context())
	if err != nil || string(body) != string(read(t, "alertengine.json")) {
		t.Fatalf("%v, %s", err, body)
	}
	if h := seen(); h.Get("X-Tenant-Secret") != secret || h.Get("Accept-Encoding") != "identity" {
		t.Errorf("sent %v", h)
	}
	if _, err := newSource(url, "").fetch(t.Context()); err != nil || seen().Get("X-Tenant-Secret") != "" {
		t.Errorf("without a secret: %v, sent %v", err, seen())
	}
	for path, want := range map[string]string{
		"/moved": "status 307 instead of 200: redirects are not followed",
		"/huge":  "the health document has more than 1 MiB",
		"/bomb":  "the health document is compressed, though it was asked for as it is",
		"/slow":  "timed out after 0.1 s",
		"/down":  "status 503 instead of 200",
		"/cut":   "connection closed before the end of the answer",
	} {
		s := newSource(url+path, secret)
		if path == "/slow" {
			s.timeout = 100 * time.Millisecond
		}
		if _, err := s.fetch(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}
