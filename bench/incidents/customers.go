package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// customers come at a rate, whether or not those before them were served.
type customers struct {
	target  string
	rate    atomic.Uint64 // requests in 1000 seconds
	retry   atomic.Uint64 // of 100 who got nothing
	timeout time.Duration
	rng     *rand.Rand
}

var asked = []string{"/products", "/products", "/products/%d", "/search", "/cart/%d", "/orders", "/users/%d", "/help"}

// run sends until ctx ends, and returns when the last has got an answer.
func (c *customers) run(ctx context.Context) {
	transport := &http.Transport{MaxIdleConnsPerHost: 512, MaxIdleConns: 512}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: c.timeout}
	waiting := make(chan struct{}, 2000)
	var all sync.WaitGroup
	defer all.Wait()
	due := time.Now()
	for ctx.Err() == nil {
		due = due.Add(time.Duration(c.rng.ExpFloat64() / (float64(c.rate.Load()) / 1000) * float64(time.Second)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		path := asked[c.rng.IntN(len(asked))]
		if path[len(path)-1] == 'd' {
			path = fmt.Sprintf(path, c.rng.IntN(1000))
		}
		again := c.rng.Uint64N(100) < c.retry.Load()
		select {
		case waiting <- struct{}{}:
			all.Go(func() {
				defer func() { <-waiting }()
				for range 4 {
					if c.send(ctx, client, path) || !again || ctx.Err() != nil {
						return
					}
					time.Sleep(200 * time.Millisecond)
				}
			})
		default: // they turn away
		}
	}
}

func (c *customers) send(ctx context.Context, client *http.Client, path string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.target+path, nil)
	if err != nil {
		return false
	}
	res, err := client.Do(req)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	return err == nil && res.StatusCode < 500
}

func pow2(x float64) float64 { return math.Exp2(x) }
