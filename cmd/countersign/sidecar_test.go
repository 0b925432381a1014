package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/config"
)

// syncBuffer is a log that is written and read by different goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) contains(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Contains(s.b.Bytes(), []byte(text))
}

func TestTrafficOutlivesTheAdminAPI(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	loaded, err := config.Load(config.Sources{Flags: map[string]string{
		"upstream": upstream.URL, "listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "data": t.TempDir(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := &syncBuffer{}
	s, err := newSidecar(loaded.Config, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	s.startAdmin()
	s.startTraffic()
	if err := s.adminListener.Close(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !log.contains("the admin API stopped; traffic goes on"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the end of the admin API was not logged")
		}
	}
	if status, _, err := fetch("http://" + s.traffic.Addr().String() + "/"); err != nil || status != http.StatusOK {
		t.Errorf("traffic without the admin API: %d, %v", status, err)
	}
}
