//go:build linux

package load

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestCountsAreExact(t *testing.T) {
	for _, c := range []struct {
		name string
		plan Plan
	}{
		{"closed loop", Plan{Connections: 8, For: 200 * time.Millisecond}},
		{"closed loop, warmed", Plan{Connections: 8, For: 100 * time.Millisecond, Warm: 100 * time.Millisecond}},
		{"closed loop, new connections", Plan{Connections: 4, NewConnections: true, For: 200 * time.Millisecond}},
		{"open loop", Plan{Connections: 8, Rate: 1000, For: 200 * time.Millisecond}},
		{"open loop, warmed, two threads", Plan{Connections: 8, Rate: 1000, For: 200 * time.Millisecond, Warm: 50 * time.Millisecond, Threads: 2}},
		{"open loop, new connections", Plan{Connections: 4, NewConnections: true, Rate: 500, For: 200 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got, bytes atomic.Uint64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n, _ := io.Copy(io.Discard, r.Body)
				bytes.Add(uint64(n))
				got.Add(1)
				_, _ = io.WriteString(w, "hello from "+r.URL.Path)
			}))
			defer server.Close()
			c.plan.Addr = strings.TrimPrefix(server.URL, "http://")
			c.plan.Requests = []Request{{Path: "/a"}, {Method: "POST", Path: "/b?c=d", Body: []byte("12345"), Header: []string{"X-Y: z"}}}
			r, err := Run(context.Background(), c.plan)
			if err != nil {
				t.Fatal(err)
			}
			if got.Load() != r.Warmed+r.Sent || (r.Warmed > 0) != (c.plan.Warm > 0) || r.Sent != r.Done || r.Failed != 0 || len(r.Errors) > 0 {
				t.Errorf("the server had %d; %+v", got.Load(), r)
			}
			if r.Latency.TotalCount() != int64(r.Done) {
				t.Errorf("%d latencies of %d answers", r.Latency.TotalCount(), r.Done)
			}
			if c.plan.Rate > 0 {
				want := uint64(c.plan.Rate * c.plan.For.Seconds())
				if r.Sent != want || r.GeneratorLag.TotalCount() != int64(want) {
					t.Errorf("sent %d, noticed %d, want %d", r.Sent, r.GeneratorLag.TotalCount(), want)
				}
			}
		})
	}
}
