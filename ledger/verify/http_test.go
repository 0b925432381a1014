package verify

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// openHTTP is a source that notes how long it would have slept.
func openHTTP(t testing.TB, url string) (*HTTP, *[]time.Duration) {
	t.Helper()
	h, err := NewHTTP(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	var slept []time.Duration
	h.sleep = func(_ context.Context, d time.Duration) error {
		slept = append(slept, d)
		return nil
	}
	return h, &slept
}

// serve serves a bundle below /ledger/.
func serve(m mapSource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, ok := m[strings.TrimPrefix(r.URL.Path, "/ledger/")]
		if !ok {
			http.Error(w, `{"error":"no such resource"}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && strings.Contains(r.URL.Path, "entries") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(data)
			_ = z.Close()
			return
		}
		_, _ = w.Write(data)
	})
}

func TestLogOverHTTP(t *testing.T) {
	l := sample(t)
	m := l.bundle(t).without("countersign-ledger")
	server := httptest.NewServer(serve(m))
	defer server.Close()
	for _, url := range []string{server.URL + "/ledger", server.URL + "/ledger/"} {
		src, closer, err := OpenSource(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if r := Log(t.Context(), src, Options{}); r.Code != Verified || r.Entries != 600 || r.Blobs != 3 {
			t.Errorf("%+v %v", r, r.Problem)
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
	h, _ := openHTTP(t, server.URL)
	if r := Log(t.Context(), h, Options{}); r.Code != Incomplete || !strings.Contains(r.Problem.Text, "there is no checkpoint") {
		t.Errorf("%+v %v", r, r.Problem)
	}
	delete(m, "tile/entries/001")
	h, _ = openHTTP(t, server.URL+"/ledger")
	if r := Log(t.Context(), h, Options{Keys: []string{l.keys[1].vkey}}); r.Code != Incomplete || r.Problem.Resource != "tile/entries/001" || r.ProvenTo != 256 {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

func TestHTTPAnswers(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	backoff := []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("stolen")) }))
	defer elsewhere.Close()
	for _, test := range []struct {
		name  string
		serve func(w http.ResponseWriter, r *http.Request, n int64)
		data  string
		is    error
		text  string
		slept int
	}{
		{"sound", func(w http.ResponseWriter, _ *http.Request, _ int64) { _, _ = w.Write([]byte("data")) }, "data", nil, "", 0},
		{"at the limit", func(w http.ResponseWriter, _ *http.Request, _ int64) { _, _ = w.Write(make([]byte, 100)) }, string(make([]byte, 100)), nil, "", 0},
		{"too long", func(w http.ResponseWriter, _ *http.Request, _ int64) { _, _ = w.Write(make([]byte, 101)) }, "", ErrTooLong, "more than 100 bytes", 0},
		{"a bomb", func(w http.ResponseWriter, _ *http.Request, _ int64) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		}, "", ErrTooLong, "more than 100 bytes", 0},
		{"broken gzip", func(w http.ResponseWriter, _ *http.Request, _ int64) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte("hello"))
		}, "", nil, "cannot decompress", 3},
		{"other encoding", func(w http.ResponseWriter, _ *http.Request, _ int64) { w.Header().Set("Content-Encoding", "br") }, "", nil, `compressed as "br"`, 0},
		{"absent", func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(404) }, "", fs.ErrNotExist, "404", 0},
		{"gone", func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(410) }, "", fs.ErrNotExist, "410", 0},
		{"forbidden", func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(403) }, "", fs.ErrNotExist, "403", 0},
		{"unauthorized", func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(401) }, "", nil, "the server answers 401", 0},
		{"fails", func(w http.ResponseWriter, _ *http.Request, _ int64) { w.WriteHeader(503) }, "", nil, "the server answers 503", 3},
		{"fails twice", func(w http.ResponseWriter, _ *http.Request, n int64) {
			if n <= 2 {
				w.WriteHeader(502)
			}
			_, _ = w.Write([]byte("data"))
		}, "data", nil, "", 2},
		{"breaks off once", func(w http.ResponseWriter, _ *http.Request, n int64) {
			if n == 1 {
				w.Header().Set("Content-Length", "10")
			}
			_, _ = w.Write([]byte("data"))
		}, "data", nil, "", 1},
		{"web page", func(w http.ResponseWriter, _ *http.Request, _ int64) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<html>"))
		}, "", ErrNotALog, "a web page", 0},
		{"redirect within", func(w http.ResponseWriter, r *http.Request, n int64) {
			if n == 1 {
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			}
			_, _ = w.Write([]byte("data"))
		}, "data", nil, "", 0},
		{"redirect to another host", func(w http.ResponseWriter, r *http.Request, _ int64) {
			http.Redirect(w, r, elsewhere.URL, http.StatusFound)
		}, "", nil, "redirect refused", 0},
		{"redirect to another scheme", func(w http.ResponseWriter, r *http.Request, _ int64) {
			http.Redirect(w, r, "https://"+r.Host+"/", http.StatusFound)
		}, "", nil, "redirect refused", 0},
		{"redirects without end", func(w http.ResponseWriter, r *http.Request, _ int64) { http.Redirect(w, r, "/x", http.StatusFound) }, "", nil, "redirect refused", 0},
	} {
		var requests atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { test.serve(w, r, requests.Add(1)) }))
		h, slept := openHTTP(t, server.URL)
		data, err := h.Get(t.Context(), "tile/0/000", 100)
		if string(data) != test.data || (err == nil) != (test.text == "") || test.is != nil && !errors.Is(err, test.is) ||
			err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %d bytes, %v", test.name, len(data), err)
		}
		if !slices.Equal(*slept, backoff[:test.slept]) {
			t.Errorf("%s: waited %v", test.name, *slept)
		}
		server.Close()
	}
}

func TestHTTPUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	h, slept := openHTTP(t, "http://"+address+"/ledger")
	r := Log(t.Context(), h, Options{})
	if r.Code != Incomplete || !strings.Contains(r.Problem.Text, "connection refused") || len(*slept) != 3 {
		t.Errorf("%+v %v, %d waits", r, r.Problem, len(*slept))
	}
	ctx, cancel := context.WithCancel(t.Context())
	h.sleep = func(ctx context.Context, _ time.Duration) error {
		cancel()
		return sleep(ctx, time.Hour)
	}
	if r := Log(ctx, h, Options{}); r.Code != Internal || r.Problem.Text != "interrupted" {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

func TestWebPageInPlaceOfALog(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Welcome</title>"))
	}))
	defer server.Close()
	h, _ := openHTTP(t, server.URL)
	if r := Log(t.Context(), h, Options{}); r.Code != Usage || !strings.Contains(r.Problem.Text, "this is not a ledger") {
		t.Errorf("%+v %v", r, r.Problem)
	}
}

// TestPasswordsAreNotShown gives URLs with a password in them.
func TestPasswordsAreNotShown(t *testing.T) {
	var name, password string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, _ = r.BasicAuth()
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	h, _ := openHTTP(t, strings.Replace(server.URL, "://", "://user:hunter2@", 1))
	_, err := h.Get(t.Context(), "checkpoint", 100)
	if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "://user:xxxxx@") {
		t.Errorf("%v", err)
	}
	if name != "user" || password != "hunter2" {
		t.Errorf("sent as %q with %q", name, password)
	}
	for _, url := range []string{"ftp://user:hunter2@example.com", "http://user:hunter2@example.com/?x", "http://user:hunter2@example.com:port/", "http://user:hunter2@ex ample.com/"} {
		if _, err := NewHTTP(url, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
