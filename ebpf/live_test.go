package ebpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// hooks are the ways of attaching that this host has; what it lacks is skipped
// by name.
func eachHook(t *testing.T, test func(t *testing.T, a Attach)) {
	for _, a := range []Attach{TCX, Socket} {
		t.Run(string(a), func(t *testing.T) {
			requireHook(t, a)
			test(t, a)
		})
	}
}

// requireHook skips the test when the host was asked and lacks the hook.
func requireHook(t testing.TB, a Attach) {
	t.Helper()
	var u *Unavailable
	if err := try(a); errors.As(err, &u) {
		t.Skipf("no %s hook here: %v", a, u)
	} else if err != nil {
		t.Fatal(err)
	}
}

// live is a server, and a probe of its port.
type live struct {
	t        *testing.T
	recorder *histogram.Recorder
	probe    *Probe
	listener net.Listener
	now      int64
}

// newLive serves handler, nothing when it is nil, on a free port of an address.
func newLive(t *testing.T, a Attach, address string, handler http.Handler) *live {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	if handler != nil {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(l) }()
		t.Cleanup(func() { _ = server.Close() })
	} else {
		t.Cleanup(func() { _ = l.Close() })
	}
	v := &live{t: t, listener: l}
	v.recorder, err = histogram.NewRecorder(histogram.Config{Now: func() int64 { return v.now }})
	if err != nil {
		t.Fatal(err)
	}
	v.probe, err = Open(Config{Port: uint16(l.Addr().(*net.TCPAddr).Port), Attach: a, Recorder: v.recorder})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = v.probe.Close() })
	return v
}

func (v *live) url(path string) string { return "http://" + v.listener.Addr().String() + path }

// await reads until seen requests were seen and none is in flight.
func (v *live) await(seen uint64) (Stats, *histogram.Snapshot) {
	v.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		if err := v.probe.Read(); err != nil {
			v.t.Fatal(err)
		}
		s := v.probe.Stats()
		if s.Seen == seen && s.InFlight == 0 || time.Now().After(deadline) {
			// Once more, for what was counted between the parts of that reading.
			if err := v.probe.Read(); err != nil {
				v.t.Fatal(err)
			}
			s = v.probe.Stats()
			v.now += int64(time.Second)
			v.recorder.Seal(v.now)
			return s, v.recorder.Snapshot()
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (v *live) want(requests uint64) (Stats, *histogram.Snapshot) {
	v.t.Helper()
	stats, snapshot := v.await(requests)
	if stats.Seen != requests || stats.Measured != requests || stats.InFlight != 0 || snapshot.Overall.Requests() != requests || snapshot.Seen != requests {
		v.t.Errorf("want %d requests measured: %+v; the recorder has %d, seen %d, unmeasured %v",
			requests, stats, snapshot.Overall.Requests(), snapshot.Seen, snapshot.Unmeasured)
	}
	return stats, snapshot
}

func TestLive(t *testing.T) {
	eachHook(t, func(t *testing.T, a Attach) {
		for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
			t.Run(address, func(t *testing.T) { testLive(t, a, address) })
		}
	})
}

func testLive(t *testing.T, a Attach, address string) {
	const pause = 20 * time.Millisecond
	mux := http.NewServeMux()
	mux.HandleFunc("/fast/{id}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(pause)
		w.WriteHeader(http.StatusTeapot)
		w.(http.Flusher).Flush()
		time.Sleep(pause)
		fmt.Fprint(w, strings.Repeat("x", 3_000_000))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	v := newLive(t, a, address, mux)
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	do := func(method, path string, body io.Reader) {
		t.Helper()
		request, err := http.NewRequestWithContext(context.Background(), method, v.url(path), body)
		if err != nil {
			t.Fatal(err)
		}
		if method == "PUT" {
			request.Header.Set("Expect", "100-continue")
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Error(err)
		}
		_ = response.Body.Close()
	}
	for i := range 50 {
		do("GET", fmt.Sprintf("/fast/%d", i), nil)
	}
	do("GET", "/slow", nil)
	do("HEAD", "/slow", nil)
	do("GET", "/empty", nil)
	do("POST", "/echo", strings.NewReader(strings.Repeat("y", 5_000_000)))
	do("PUT", "/echo", io.MultiReader(strings.NewReader("chunks"), strings.NewReader(" of a body")))
	_, s := v.want(55)
	routes := make(map[string]histogram.RouteSeries)
	for _, r := range s.Routes {
		routes[r.Name] = r
	}
	if r := routes["GET /fast/{id}"]; r.Requests() != 50 {
		t.Errorf("routes %+v", s.Routes)
	}
	slow := routes["GET /slow"]
	if slow.Outcomes[histogram.ClientError] != 1 {
		t.Errorf("outcomes of /slow %v", slow.Outcomes)
	}
	if slow.Requests() == 1 {
		ttfb, _ := slow.TTFB.Quantile(1)
		duration, _ := slow.Durations.Quantile(1)
		if ttfb.High < int64(pause) || duration.High < int64(2*pause) || ttfb.High >= duration.Low {
			t.Errorf("ttfb %v, duration %v", ttfb, duration)
		}
	}
}

// Many connections at once, opened and closed, while the counts are read: every
// request is accounted for.
func TestLiveAtSpeed(t *testing.T) {
	eachHook(t, func(t *testing.T, a Attach) {
		const workers, connections, requests = 8, 25, 40
		v := newLive(t, a, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
		ctx, stop := context.WithCancel(t.Context())
		running := make(chan error, 1)
		go func() { running <- v.probe.Run(ctx) }()
		var asking sync.WaitGroup
		for range workers {
			asking.Go(func() {
				for range connections {
					client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
					for range requests {
						response, err := client.Get(v.url("/a"))
						if err != nil {
							t.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, response.Body)
						_ = response.Body.Close()
					}
					client.CloseIdleConnections()
				}
			})
		}
		asking.Wait()
		const all = workers * connections * requests
		stats, s := v.await(all)
		if stats.Seen != all || s.Seen != all || stats.Measured < all*999/1000 {
			t.Errorf("%+v of %d; the recorder has seen %d", stats, all, s.Seen)
		}
		t.Logf("%+v", stats)
		stop()
		if err := <-running; err != nil {
			t.Error(err)
		}
	})
}

// What is closed is detached, and a second probe of the same port is its own.
func TestCloseDetaches(t *testing.T) {
	eachHook(t, func(t *testing.T, a Attach) {
		v := newLive(t, a, "127.0.0.1:0", http.NotFoundHandler())
		other, err := Open(Config{Port: uint16(v.listener.Addr().(*net.TCPAddr).Port), Attach: a, Recorder: v.recorder})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := other.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := other.Read(); err == nil {
			t.Error("a closed probe was read")
		}
		response, err := http.Get(v.url("/x"))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		http.DefaultClient.CloseIdleConnections()
		v.want(1)
	})
}

func TestOpenRefuses(t *testing.T) {
	recorder, err := histogram.NewRecorder(histogram.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"port":        {Recorder: recorder},
		"Recorder":    {Port: 1},
		"hook":        {Port: 1, Recorder: recorder, Attach: "xdp"},
		"connections": {Port: 1, Recorder: recorder, MaxConnections: 63},
	} {
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissingCapabilities(t *testing.T) {
	const bpf, netAdmin, netRaw, sysAdmin = 1 << 39, 1 << 12, 1 << 13, 1 << 21
	for _, tt := range []struct {
		attach    Attach
		effective uint64
		want      string
	}{
		{TCX, 0, "CAP_BPF CAP_NET_ADMIN"},
		{TCX, bpf, "CAP_NET_ADMIN"},
		{TCX, sysAdmin | netAdmin, ""},
		{Socket, netAdmin | netRaw, "CAP_BPF"},
		{Socket, bpf, "CAP_NET_RAW"},
		{Socket, bpf | netRaw, ""},
	} {
		if got := strings.Join(missing(tt.attach, tt.effective), " "); got != tt.want {
			t.Errorf("%s with %x lacks %q, want %q", tt.attach, tt.effective, got, tt.want)
		}
	}
}
