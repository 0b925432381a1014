package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/bench/meter"
	"github.com/countersign-dev/countersign/bench/peer"
)

const (
	remembered = 200_000 // requests over ten routes
	gibibyte   = 1 << 30
)

// memory gives fresh sidecars, each with its ledger and all that watches, one thing to do, and sees how much they
// took. The one that was measured has done everything by now.
func (b *bench) memory(ctx context.Context, requests, bytes int) (all []MemoryResult, err error) {
	is, err := b.peers[peer.Countersign].set.Memory()
	if err != nil {
		return nil, err
	}
	all = append(all, MemoryResult{"all scenarios above, one after the other", is})
	for _, task := range []struct {
		doing string
		do    func(context.Context, *running) error
	}{
		{"nothing", func(context.Context, *running) error { return nil }},
		{fmt.Sprintf("%d requests over ten routes, on 32 connections", requests), func(ctx context.Context, r *running) error {
			return b.routes(ctx, r, requests, 32)
		}},
		{fmt.Sprintf("%d requests over ten routes, on 512 connections", requests), func(ctx context.Context, r *running) error {
			return b.routes(ctx, r, requests, 512)
		}},
		{fmt.Sprintf("%d MiB up and %d MiB down", bytes>>20, bytes>>20), func(ctx context.Context, r *running) error {
			return transfer(ctx, r.server, bytes)
		}},
	} {
		r, err := start(func() (*peer.Server, error) { return b.place.Start(ctx, peer.Countersign, b.upstream.server.Addr) })
		if err != nil {
			return all, err
		}
		err = task.do(ctx, r)
		var is meter.Memory
		if err == nil {
			is, err = r.set.Memory()
		}
		if err := errors.Join(err, r.server.Stop()); err != nil {
			return all, fmt.Errorf("memory during %s: %w", task.doing, err)
		}
		all = append(all, MemoryResult{task.doing, is})
		fmt.Fprintf(b.progress, "memory, %s: at most %.1f MiB\n", task.doing, mib(is.Peak))
	}
	return all, nil
}

// routes sends requests over ten routes until there were so many.
func (b *bench) routes(ctx context.Context, r *running, requests, connections int) error {
	s := Scenario{Routes: true, Connections: connections}
	for sent := 0; sent < requests; {
		o, err := send(ctx, r.server.Inside, s.plan(r.server.Addr, 500*time.Millisecond, 0))
		if err != nil {
			return err
		}
		sent += int(o.Done)
	}
	return nil
}

// transferTime bounds a transfer, which takes seconds.
const transferTime = 5 * time.Minute

// transfer sends a body and has one sent, and looks that they arrive whole.
func transfer(ctx context.Context, s *peer.Server, bytes int) error {
	ctx, cancel := context.WithTimeout(ctx, transferTime)
	defer cancel()
	client := s.Client()
	ask := func(method, path string, body io.Reader) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, "http://"+s.Addr+path, body)
		if err != nil {
			return nil, err
		}
		return client.Do(req)
	}
	up, err := ask(http.MethodPut, "/up", io.LimitReader(zeros{}, int64(bytes)))
	if err != nil {
		return err
	}
	defer up.Body.Close()
	said, err := io.ReadAll(up.Body)
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(said)); got != fmt.Sprint(bytes) {
		return fmt.Errorf("of %d bytes sent up, %s arrived", bytes, got)
	}
	down, err := ask(http.MethodGet, fmt.Sprintf("/zeros?bytes=%d", bytes), nil)
	if err != nil {
		return err
	}
	defer down.Body.Close()
	n, err := io.Copy(io.Discard, down.Body)
	if err == nil && n != int64(bytes) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("of %d bytes sent down, %d arrived: %w", bytes, n, err)
	}
	return nil
}

// zeros has no end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func mib(bytes uint64) float64 { return float64(bytes) / (1 << 20) }
