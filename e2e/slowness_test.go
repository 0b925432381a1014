//go:build slow

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWhoIsSlow: a client that takes its time, sending or receiving, does not
// make a fast API look slow, and an API that takes its time does. The bodies
// are far larger than what the sockets between can hold, so that the fast side
// has to wait for the slow one.
func TestWhoIsSlow(t *testing.T) {
	t.Parallel()
	n := startNginx(t, "", "location = /slow.bin { limit_rate 10m; limit_rate_after 1m; }")
	for _, name := range []string{"large.bin", "slow.bin"} {
		n.write(t, "www/"+name, noise(30<<20))
	}
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, noise(30<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		path string
		args []string
		slow bool // the API is
	}{
		{"slow download", "/large.bin", []string{"--limit-rate", "10M"}, false},
		{"slow upload", "/put/sized", []string{"--limit-rate", "10M", "--upload-file", file}, false},
		{"slow upload in chunks", "/put/chunked", []string{"--limit-rate", "10M", "--upload-file", file, "--header", "Transfer-Encoding: chunked"}, false},
		{"slow server", "/slow.bin", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := startSidecar(t, n.url)
			begin := time.Now()
			a := curl(t, append(c.args, s.url+c.path)...)
			took := time.Since(begin)
			if a.exit != 0 {
				t.Fatalf("%v", &a)
			}
			s.expectCounts(t, counts{"success": 1})
			var d document
			eventually(t, "a health document should cover the request", func() bool {
				d = s.health(t)
				return d.Metrics.SampleSize == 1
			})
			t.Logf("the exchange took %v, the API is said to have taken %v ms", took, d.Metrics.Max)
			if share := d.Metrics.Max / milliseconds(took); c.slow && share < 0.75 || !c.slow && share > 0.25 {
				t.Errorf("of %v, %v ms are blamed on the API", took, d.Metrics.Max)
			}
		})
	}
}
