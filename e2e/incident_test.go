//go:build slow

package e2e

import (
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"testing"
)

// TestHungUpstreamShowsBeforeTheTimeout stops nginx in the middle of its work,
// as a deadlock would: connections are accepted and nothing is answered.
func TestHungUpstreamShowsBeforeTheTimeout(t *testing.T) {
	t.Parallel()
	const answered, hanging = 100, 20
	n := startNginx(t, "", "")
	n.fill(t)
	s := startSidecar(t, n.url, "--response-timeout", "60s")
	if a := curl(t, fmt.Sprintf("%s/index.html?[1-%d]", s.url, answered)); a.status != "200 OK" {
		t.Fatalf("%v", &a)
	}
	s.expectCounts(t, counts{"success": answered})

	signalGroup(t, n.process, syscall.SIGSTOP)
	statuses := make(chan int, hanging)
	var group sync.WaitGroup
	for range hanging {
		group.Go(func() {
			resp, err := http.Get(s.url + "/index.html")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			statuses <- resp.StatusCode
		})
	}
	const slow = 3000 // ms; the response timeout is twenty times that
	var d document
	eventually(t, "the P95 should rise while the requests hang", func() bool {
		d = s.health(t)
		return d.Metrics.OverallP95 > slow
	})
	if d.Metrics.InFlight != hanging || d.Metrics.InFlightUsed != hanging || d.Metrics.ErrorRate != 0 || d.Status == "ok" {
		t.Errorf("while %d requests hang and none has failed: %+v", hanging, d)
	}
	s.expectCounts(t, counts{"success": answered})

	signalGroup(t, n.process, syscall.SIGCONT)
	group.Wait()
	close(statuses)
	for status := range statuses {
		if status != http.StatusOK {
			t.Errorf("a request that had hung was answered %d", status)
		}
	}
	s.expectCounts(t, counts{"success": answered + hanging})
}

// signalGroup signals a process and all it has started.
func signalGroup(t *testing.T, p *process, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		t.Fatal(err)
	}
}

// TestFastFailuresAreCritical: an API that answers every request within a
// millisecond, with a 500, is not a healthy one.
func TestFastFailuresAreCritical(t *testing.T) {
	t.Parallel()
	const requests = 200
	n := startNginx(t, "", "")
	s := startSidecar(t, n.url)
	if a := curl(t, fmt.Sprintf("%s/500?[1-%d]", s.url, requests)); a.status != "500 Internal Server Error" {
		t.Fatalf("%v", &a)
	}
	s.expectCounts(t, counts{"server_error": requests})
	var d document
	eventually(t, "a health document should cover the requests", func() bool {
		d = s.health(t)
		return d.Metrics.SampleSize == requests
	})
	if d.Status != "critical" || d.HealthScore.Score >= 40 || d.Metrics.ErrorRate != 1 || d.Metrics.P50 > 100 {
		t.Errorf("%+v", d)
	}
}
