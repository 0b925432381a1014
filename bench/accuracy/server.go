package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// server answers each request after the next of its delays, and knows how long it
// really took.
type server struct {
	http    *http.Server
	ln      net.Listener
	delays  []time.Duration
	next    atomic.Int64
	serving sync.WaitGroup

	mu     sync.Mutex
	served []int64 // guarded by mu
}

func serve(delays []time.Duration) (*server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the server cannot listen: %w", err)
	}
	s := &server{ln: ln, delays: delays}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.serving.Go(func() { _ = s.http.Serve(ln) }) // ends when it is closed
	return s, nil
}

func (s *server) address() string { return s.ln.Addr().String() }

func (s *server) close() {
	_ = s.http.Close()
	s.serving.Wait()
}

// measuredPath is what is measured; a program that asks for another page, to see
// whether the server is there, takes no delay away.
const measuredPath = "/measured"

var body = []byte("hello\n")

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if r.URL.Path != measuredPath {
		return
	}
	if n := s.next.Add(1) - 1; n < int64(len(s.delays)) {
		time.Sleep(s.delays[n])
	}
	took := int64(time.Since(start))
	s.mu.Lock()
	s.served = append(s.served, took)
	s.mu.Unlock()
	_, _ = w.Write(body)
}

// durations are those of all requests, of which there must have been so many.
func (s *server) durations(want int) ([]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.served) != want {
		return nil, fmt.Errorf("the server was asked %d times instead of %d", len(s.served), want)
	}
	return s.served, nil
}

// connections is how many clients there are at once. More would wait for each
// other on a small machine, and the true P95 would be known less well.
const connections = 4

// load sends requests, each client one after the other, and returns what each
// one took.
func load(ctx context.Context, url string, requests int) ([]int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var clients sync.WaitGroup
	all := make([][]int64, connections)
	for c := range connections {
		clients.Go(func() {
			transport := &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
			for next.Add(1) <= int64(requests) {
				took, err := get(ctx, client, url+measuredPath)
				if err != nil {
					cancel(err)
					return
				}
				all[c] = append(all[c], int64(took))
			}
		})
	}
	clients.Wait()
	var seen []int64
	for _, some := range all {
		seen = append(seen, some...)
	}
	return seen, context.Cause(ctx)
}

func get(ctx context.Context, client *http.Client, url string) (time.Duration, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	data, err := io.ReadAll(res.Body)
	took := time.Since(start)
	_ = res.Body.Close()
	if err == nil && (res.StatusCode != http.StatusOK || len(data) != len(body)) {
		err = fmt.Errorf("%s answered %s with %d bytes", url, res.Status, len(data))
	}
	return took, err
}
