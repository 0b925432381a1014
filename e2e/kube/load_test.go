package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// load creates pods without end, from several clients at once, and looks whether
// each is injected.
type load struct {
	created  atomic.Int64
	mu       sync.Mutex
	failures []string // guarded by mu
	stop     chan struct{}
	done     sync.WaitGroup
}

// pace is the time between two pods of one client: the machine is shared.
const pace = 20 * time.Millisecond

// startLoad has four clients create pods in the namespace until it is ended.
func startLoad(namespace string) *load {
	l := &load{stop: make(chan struct{})}
	for range 4 {
		l.done.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				case <-time.After(pace):
				}
				pod, _, err := create(namespace, podOf(api(), "load"), true)
				switch n := l.created.Add(1); {
				case err != nil:
					l.fail(fmt.Sprintf("request %d: %v", n, err))
				case !injected(pod):
					l.fail(fmt.Sprintf("request %d: the pod was admitted without the sidecar", n))
				}
			}
		})
	}
	return l
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failures = append(l.failures, what)
}

// end stops the load once it has been enough to show anything, and fails the test
// where a request was not answered as it has to be.
func (l *load) end(t *testing.T) {
	t.Helper()
	eventually(t, "a hundred pods are created", func() bool { return l.created.Load() >= 100 })
	close(l.stop)
	l.done.Wait()
	t.Logf("%d pods were created meanwhile", l.created.Load())
	if n := len(l.failures); n > 0 {
		t.Errorf("%d went wrong, of which the first:\n%s\nThe API server printed:\n%s", n,
			strings.Join(l.failures[:min(n, 5)], "\n"), strings.Join(cluster.passedOver(t), "\n"))
	}
}

// passedOver is what the API server has printed of webhooks that it passed over,
// the last of it.
func (c *Cluster) passedOver(t *testing.T) []string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(c.dir, "kube-apiserver.log"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "failing open") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines[max(0, len(lines)-5):]
}

// failedOpen is how many calls of webhooks the API server has passed over because
// they failed: what is counted from the first such call on.
func failedOpen(t *testing.T) (n float64) {
	t.Helper()
	_, metrics, err := cluster.admin.send("GET", "/metrics", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "apiserver_admission_webhook_fail_open_count") {
			f := strings.Fields(line)
			value, err := strconv.ParseFloat(f[len(f)-1], 64)
			if err != nil {
				t.Fatal(err)
			}
			n += value
		}
	}
	return n
}
