package demo

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestMixIsRepeatableAndComplete(t *testing.T) {
	one, two := rand.New(rand.NewPCG(3, 1)), rand.New(rand.NewPCG(3, 1))
	seen := map[string]bool{}
	for range 1000 {
		a, b := pick(one), pick(two)
		if a != b {
			t.Fatalf("the same seed gave %v and %v", a, b)
		}
		seen[a.method+" "+a.path[:4]] = true
	}
	for _, want := range []string{"GET /pro", "GET /sea", "POST /ord", "POST /web", "GET /rep", "GET /eve"} {
		if !seen[want] {
			t.Errorf("no %s… among 1000 requests", want)
		}
	}
}

func TestTrafficSendsAndStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var total atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if total.Add(1) == 50 {
			cancel()
		}
	}))
	defer server.Close()
	traffic := &Traffic{Target: server.URL, Rate: 100, Seed: 1}
	if err := traffic.Run(ctx); err != nil {
		t.Fatal(err)
	}
	sent, failed, dropped := traffic.Counts()
	if sent < 50 || failed != 0 || dropped != 0 {
		t.Errorf("sent %d, failed %d, dropped %d", sent, failed, dropped)
	}
}

func TestTrafficIsBounded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	quit, full := make(chan struct{}), make(chan struct{})
	var open atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if open.Add(1) == maxWaiting {
			close(full)
		}
		<-quit
	}))
	defer server.Close()
	traffic := &Traffic{Target: server.URL, Rate: 5000, Seed: 1}
	ended := make(chan error, 1)
	go func() { ended <- traffic.Run(ctx) }()
	select {
	case <-full:
	case <-time.After(30 * time.Second):
		t.Errorf("only %d requests were open", open.Load())
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, _, dropped := traffic.Counts(); dropped > 100 {
			break
		}
		if time.Now().After(deadline) {
			t.Error("nothing was turned away")
			break
		}
	}
	if n := open.Load(); n > maxWaiting {
		t.Errorf("%d requests were open at once, the bound is %d", n, maxWaiting)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	close(quit)
}

func TestTrafficNeedsARate(t *testing.T) {
	if err := (&Traffic{Target: "http://127.0.0.1:1"}).Run(t.Context()); err == nil {
		t.Error("a rate of 0 ran")
	}
}
