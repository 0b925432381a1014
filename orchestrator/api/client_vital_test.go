package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestClientAsksWhetherAllIsWell(t *testing.T) {
	f := serve(t, nil)
	c, err := NewClient(f.srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Alive(t.Context()), c.Ready(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestClientDoesNotTakeAnythingForHealth(t *testing.T) {
	for _, answer := range []struct {
		name, body, says string
		code             int
	}{
		{"failing", `{"status":"failing","reason":"shutting down"}`, "/readyz: shutting down", 503},
		{"another program", "ok", "is it Countersign's admin address?", 200},
		{"another program's JSON", `{"status":"failing"}`, "is it Countersign's admin address?", 200},
		{"a proxy's 503", "<html>", "answered 503 Service Unavailable", 503},
		{"an ok that is none", `{"status":"ok"}`, "answered 500", 500},
	} {
		t.Run(answer.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(answer.code)
				_, _ = io.WriteString(w, answer.body)
			}))
			defer s.Close()
			c, err := NewClient(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Ready(t.Context()); err == nil || !strings.Contains(err.Error(), answer.says) {
				t.Errorf("error %v, want one that says %q", err, answer.says)
			}
		})
	}
}

func TestClientDoesNotWaitForHealth(t *testing.T) {
	held := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-held }))
	defer s.Close()
	defer close(held)
	c, err := NewClient(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Alive(ctx); err == nil {
		t.Error("it was not asked and is alive")
	}
}
