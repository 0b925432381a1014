//go:build slow

package peer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// programs builds what there is; Caddy only if it was built before.
var programs = sync.OnceValues(func() (Programs, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "countersign-peers-")
	if err != nil {
		return Programs{}, err
	}
	built = dir
	sidecar := filepath.Join(dir, "countersign")
	if err := goBuild(ctx, exec.CommandContext(ctx, "go"), "../..", sidecar, "./cmd/countersign"); err != nil {
		return Programs{}, err
	}
	p, err := Build(ctx, "../..", dir, sidecar)
	if err != nil {
		return p, err
	}
	p.Caddy, err = Caddy(ctx, "../..", false)
	return p, err
})

// built is the directory of the programs.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// TestPeers asks each peer over a few connections, and looks that it is what the benchmark says: answers come
// through, connections to the upstream are kept, a log has a line for each request and others none is written.
func TestPeers(t *testing.T) {
	p, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	const requests, connections = 200, 4
	answer := bytes.Repeat([]byte{'x'}, 16<<10)
	for _, name := range []string{Countersign, CountersignOff, Nginx, NginxLog, HAProxy, HAProxyLog, Fasthttp, HTTPUtil, CaddyLog} {
		t.Run(name, func(t *testing.T) {
			var opened atomic.Int64
			upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
			upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			upstream.Start()
			defer upstream.Close()
			b := &Bench{Dir: t.TempDir(), Programs: p}
			s, err := b.Start(context.Background(), name, upstream.Listener.Addr().String())
			if missing := (*Missing)(nil); errors.As(err, &missing) && name == CaddyLog {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
				if _, err := s.Processes(); err == nil {
					t.Error("something of it still runs")
				}
			}()
			if err := s.TrimLog(); err != nil {
				t.Fatal(err)
			}
			before := opened.Load()
			ask(t, s.Addr, requests, connections, answer)
			if n := opened.Load() - before; n > 2*connections {
				t.Errorf("for %d requests on %d connections it opened %d to the upstream", requests, connections, n)
			}
			if strings.Contains(name, "+log") != (s.Log != "") {
				t.Errorf("its log is %q", s.Log)
			}
			if s.Log != "" {
				fewest := requests
				if name == HAProxyLog {
					// It leaves a line out rather than wait for its other thread to have written one.
					fewest = requests * 9 / 10
				}
				awaitLines(t, s.Log, fewest, requests)
			}
		})
	}
}

// ask sends requests over kept connections.
func ask(t *testing.T, addr string, requests, connections int, want []byte) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for range requests / connections {
				res, err := client.Get("http://" + addr + "/bytes/16384")
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes came with status %d: %v", len(got), res.StatusCode, err)
				}
			}
		})
	}
	wg.Wait()
}

// awaitLines waits until a log has so many lines with the path, and looks that it has no more than there were requests.
func awaitLines(t *testing.T, file string, fewest, most int) {
	t.Helper()
	got := 0
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.IndexByte(text, 0) >= 0 {
			t.Fatal("emptying its log has left a hole: it does not append")
		}
		if got = bytes.Count(text, []byte("/bytes/16384")); got >= fewest {
			break
		}
	}
	if got < fewest || got > most {
		t.Errorf("its log has %d lines, of %d requests", got, most)
	}
}

// TestNamespace has an upstream, the sidecar and the probe inside, where nobody else sees them.
func TestNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("root alone can make a network namespace")
	}
	p, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	inside, err := NewNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	ctx := context.Background()
	b := &Bench{Dir: t.TempDir(), Programs: p, Inside: inside}
	var all []*Server
	defer func() {
		for _, s := range all {
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
	}()
	upstream, err := b.StartUpstream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, upstream)
	for _, start := range []func() (*Server, error){
		func() (*Server, error) { return b.Start(ctx, Countersign, upstream.Addr) },
		func() (*Server, error) { return b.StartProbe(ctx, upstream.Addr) },
	} {
		s, err := start()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
		set, err := s.Processes()
		if err != nil || len(set.Pids()) != 1 {
			t.Errorf("the processes of %s are %v: %v", s.Name, set.Pids(), err)
		}
	}
	if conn, err := (&net.Dialer{Timeout: time.Second}).Dial("tcp", upstream.Addr); err == nil {
		conn.Close()
		t.Error("what is inside is reached from outside")
	}
	took, err := b.FirstAnswer(ctx, Countersign, upstream.Addr)
	if err != nil || took <= 0 {
		t.Errorf("the first answer came after %v: %v", took, err)
	}
}
