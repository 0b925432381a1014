//go:build slow

package e2e

import (
	"bytes"
	"sync"
	"syscall"
	"testing"
)

// TestDrain ends the sidecar while curl downloads something slow: the download
// completes, nobody new is let in, and the sidecar ends well.
func TestDrain(t *testing.T) {
	t.Parallel()
	n := startNginx(t, "", "limit_rate 1m;")
	n.fill(t)
	s := startSidecar(t, n.url)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		a := curl(t, s.url+"/data.bin")
		if a.exit != 0 || !bytes.Equal(a.body, noise(3<<20+17)) {
			t.Errorf("the download in flight: %v", &a)
		}
	})
	eventually(t, "the download should have begun", func() bool {
		return s.series(t)["countersign_http_requests_in_flight"] == 1
	})
	s.signal(t, syscall.SIGTERM)
	eventually(t, "the port should be closed", func() bool { return !accepts("tcp", s.address) })
	if code := s.awaitExit(t); code != 0 {
		t.Errorf("the sidecar ended with %d", code)
	}
}
