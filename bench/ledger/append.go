package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/bench/stats"
)

// Appends is what a store does with so many writers, each of which waits until its
// entry is durable before it brings the next. A figure a round.
type Appends struct {
	Store   string    `json:"store"`
	Writers int       `json:"writers"`
	Rates   []float64 `json:"appends_per_second"`
	P50MS   []float64 `json:"p50_ms"`
	P99MS   []float64 `json:"p99_ms"`
}

// writers are how many write at once.
var writers = []int{1, 64}

// appends measures all stores in turn, in each round beginning with another one.
func appends(ctx context.Context, dir string, rounds int, span time.Duration) ([]Appends, error) {
	var all []Appends
	for _, w := range writers {
		of := make([]Appends, len(stores))
		for i, s := range stores {
			of[i] = Appends{Store: s.name, Writers: w}
		}
		for round := range rounds {
			for i := range stores {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				at := (i + round) % len(stores)
				s := stores[at]
				if err := of[at].round(ctx, filepath.Join(dir, s.name), s.open, span); err != nil {
					return nil, fmt.Errorf("appending to the %s with %d writers: %w", s.name, w, err)
				}
			}
		}
		all = append(all, of...)
	}
	return all, nil
}

// round appends to a new store for a time. The first entries, which find
// everything cold, do not count.
func (a *Appends) round(ctx context.Context, dir string, open func(string) (store, error), span time.Duration) (err error) {
	s, err := open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(), os.RemoveAll(dir)) }()
	const cold = 20
	for n := range uint64(cold) {
		if err := s.append(ctx, n); err != nil {
			return err
		}
	}
	var next atomic.Uint64
	next.Store(cold)
	var running sync.WaitGroup
	took, failures := make([][]time.Duration, a.Writers), make([]error, a.Writers)
	begin := time.Now()
	for w := range a.Writers {
		running.Go(func() {
			for now := time.Now(); now.Sub(begin) < span; {
				if failures[w] = s.append(ctx, next.Add(1)); failures[w] != nil {
					return
				}
				after := time.Now()
				took[w], now = append(took[w], after.Sub(now)), after
			}
		})
	}
	running.Wait()
	elapsed := time.Since(begin)
	if err := errors.Join(failures...); err != nil {
		return err
	}
	var ms []float64
	for _, some := range took {
		for _, d := range some {
			ms = append(ms, d.Seconds()*1e3)
		}
	}
	slices.Sort(ms)
	a.Rates = append(a.Rates, float64(len(ms))/elapsed.Seconds())
	a.P50MS = append(a.P50MS, stats.Quantile(ms, 0.5))
	a.P99MS = append(a.P99MS, stats.Quantile(ms, 0.99))
	return nil
}
