package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxWaiting bounds the requests a Traffic has open at once. What is due
// beyond it is dropped and counted, as customers who turn away.
const maxWaiting = 256

// Traffic is a number of customers who come at a rate, whether or not those
// before them have been served: an open loop, as real traffic is.
type Traffic struct {
	// Target is the base URL, as "http://127.0.0.1:8080".
	Target string
	// Rate is how many requests a second to send, above 0. Gaps are drawn from an
	// exponential distribution, so that requests come independently.
	Rate float64
	// Seed makes the sequence of requests and gaps repeatable.
	Seed uint64

	sent, failed, dropped atomic.Uint64
}

// Counts returns how many requests were sent, how many of those got no
// answer, and how many were not sent because too many were waiting.
func (t *Traffic) Counts() (sent, failed, dropped uint64) {
	return t.sent.Load(), t.failed.Load(), t.dropped.Load()
}

// Run sends requests until ctx ends, and returns when the last one is over.
func (t *Traffic) Run(ctx context.Context) error {
	if t.Rate <= 0 {
		return fmt.Errorf("the rate is %v requests a second: it must be above 0", t.Rate)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: maxWaiting}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	rng := rand.New(rand.NewPCG(t.Seed, 1))
	waiting := make(chan struct{}, maxWaiting)
	var all sync.WaitGroup
	defer all.Wait()

	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		next := pick(rng)
		select {
		case waiting <- struct{}{}:
			all.Go(func() {
				defer func() { <-waiting }()
				t.send(ctx, client, next)
			})
		default:
			t.dropped.Add(1)
		}
		due = due.Add(time.Duration(rng.ExpFloat64() / t.Rate * float64(time.Second)))
		timer.Reset(time.Until(due))
	}
}

// order is a request to be sent.
type order struct {
	method, path, body string
}

// pick draws one request from the mix.
func pick(rng *rand.Rand) order {
	id := 1 + rng.IntN(500)
	switch n := rng.IntN(100); {
	case n < 30:
		return order{"GET", "/products", ""}
	case n < 65:
		return order{"GET", fmt.Sprintf("/products/%d", id), ""}
	case n < 80:
		return order{"GET", "/search?q=ink", ""}
	case n < 90:
		return order{"POST", "/orders", fmt.Sprintf(`{"product": %d}`, id)}
	case n < 97:
		return order{"POST", "/webhooks/payment", fmt.Sprintf(`{"paid": %d}`, id)}
	case n < 99:
		return order{"GET", fmt.Sprintf("/reports/2026-%02d-%02d", 1+id%12, 1+id%28), ""}
	default:
		return order{"GET", "/events?count=3&every=100ms", ""}
	}
}

func (t *Traffic) send(ctx context.Context, client *http.Client, o order) {
	req, err := http.NewRequestWithContext(ctx, o.method, t.Target+o.path, strings.NewReader(o.body))
	if err != nil {
		t.failed.Add(1)
		return
	}
	if o.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	t.sent.Add(1)
	res, err := client.Do(req)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		err = errors.Join(err, res.Body.Close())
	}
	if err != nil && ctx.Err() == nil {
		t.failed.Add(1)
	}
}
