//go:build slow

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// sidecar is the binary under test, running.
type sidecar struct {
	*process
	address string // host:port of the proxied port; empty without proxy
	url     string // http://address
	admin   string // http://host:port of the admin API
	inside  namespace
}

// startSidecar runs `countersign run` in front of upstream, on ports that it
// chooses itself, and returns when it serves.
func startSidecar(t *testing.T, upstream string, flags ...string) *sidecar {
	t.Helper()
	return startSidecarThrough(t, nil, upstream, flags...)
}

// startSidecarThrough starts one by a program that runs the rest of its command
// line in its own place.
func startSidecarThrough(t *testing.T, program []string, upstream string, flags ...string) *sidecar {
	t.Helper()
	flags = append([]string{"--upstream", upstream, "--listen", "127.0.0.1:0"}, flags...)
	return startSidecarBy(t, program, namespace{}, flags)
}

// startSidecarIn starts one in a network namespace, with nothing given that the
// sensor depends on.
func startSidecarIn(t *testing.T, inside namespace, flags ...string) *sidecar {
	t.Helper()
	return startSidecarBy(t, nil, inside, flags)
}

func startSidecarBy(t *testing.T, program []string, inside namespace, flags []string) *sidecar {
	t.Helper()
	line := slices.Concat(program, []string{
		binary, "run", "--admin", "127.0.0.1:0", "--wait-upstream", "0", "--log-format", "json", "--data", filepath.Join(t.TempDir(), "data"),
	}, flags)
	line = inside.words(line[0], line[1:]...)
	return servingSidecar(t, start(t, syscall.SIGKILL, line[0], line[1:]...), inside)
}

// servingSidecar waits until one that logs JSON serves.
func servingSidecar(t *testing.T, p *process, inside namespace) *sidecar {
	t.Helper()
	var line struct{ Listen, Admin any }
	if err := json.Unmarshal([]byte(p.awaitLine(t, `"serving"`)), &line); err != nil {
		t.Fatalf("the sidecar's log line is not JSON: %v", err)
	}
	s := &sidecar{process: p, admin: "http://" + logged(line.Admin), inside: inside}
	if line.Listen != nil {
		s.address = logged(line.Listen)
		s.url = "http://" + s.address
	}
	return s
}

// read asks the admin API.
func (s *sidecar) read(t *testing.T, path string) []byte {
	t.Helper()
	client := s.inside.client()
	defer client.CloseIdleConnections()
	return getBy(t, client, s.admin+path)
}

// logged is an address as slog's JSON writes it: text, or a net.TCPAddr's fields.
func logged(v any) string {
	if m, ok := v.(map[string]any); ok {
		return fmt.Sprintf("%v:%v", m["IP"], m["Port"])
	}
	return fmt.Sprint(v)
}

// series returns what /metrics says, by series name with labels.
func (s *sidecar) series(t *testing.T) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(string(s.read(t, "/metrics"))) {
		name, value, ok := cutLast(strings.TrimSpace(line))
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("/metrics has the line %q: %v", line, err)
		}
		all[name] = n
	}
	return all
}

func cutLast(line string) (before, after string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

// counts is how requests ended, by the names of outcomes and of reasons for
// being unmeasured, and under "streams" how many were streams. Zeros are left
// out.
type counts map[string]int

// counts reads the metrics. It fails when a request is unaccounted for:
// everything seen is measured or has a reason.
func (s *sidecar) counts(t *testing.T) counts {
	t.Helper()
	c, seen, ended := counts{}, 0, 0
	for name, v := range s.series(t) {
		n := int(v)
		switch family, labels, _ := strings.Cut(name, "{"); family {
		case "countersign_http_requests_total":
			c[label(labels, "outcome")] += n
			ended += n
		case "countersign_http_requests_unmeasured_total":
			c[label(labels, "reason")] += n
			ended += n
		case "countersign_http_streams_total":
			c["streams"] += n
		case "countersign_http_requests_seen_total":
			seen = n
		}
	}
	if seen != ended {
		t.Fatalf("the metrics say %d requests were seen and account for %d: %v", seen, ended, c)
	}
	maps.DeleteFunc(c, func(_ string, n int) bool { return n == 0 })
	return c
}

// label returns the value of one label in the text behind a series' brace.
func label(labels, name string) string {
	_, rest, _ := strings.Cut(labels, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

// expectCounts waits until the metrics say exactly want. A request is counted
// just after its last byte was sent, so the client may be early.
func (s *sidecar) expectCounts(t *testing.T, want counts) {
	t.Helper()
	var got counts
	t.Cleanup(func() {
		if t.Failed() && got != nil {
			t.Logf("counts: %v, expected %v", got, want)
		}
	})
	eventually(t, fmt.Sprintf("the metrics should say %v", want), func() bool {
		got = s.counts(t)
		return maps.Equal(got, want)
	})
}

// document is the part of /health/alerts that the tests read.
type document struct {
	Timestamp   int64  `json:"timestamp"`
	Status      string `json:"status"`
	HealthScore struct {
		Score float64 `json:"score"`
	} `json:"health_score"`
	Metrics struct {
		OverallP95   float64    `json:"overall_p95_ms"`
		Bracket      [2]float64 `json:"p95_bracket_ms"`
		P50          float64    `json:"p50_ms"`
		P99          float64    `json:"p99_ms"`
		Max          float64    `json:"max_ms"`
		ErrorRate    float64    `json:"error_rate"`
		SampleSize   int        `json:"sample_size"`
		InFlight     int        `json:"in_flight"`
		InFlightUsed int        `json:"in_flight_included"`
	} `json:"metrics"`
	Routes []struct {
		Route      string  `json:"route"`
		P95        float64 `json:"p95_ms"`
		SampleSize int     `json:"sample_size"`
	} `json:"routes"`
}

func (s *sidecar) health(t *testing.T) document {
	t.Helper()
	var d document
	if err := json.Unmarshal(s.read(t, "/health/alerts"), &d); err != nil {
		t.Fatalf("/health/alerts is not JSON: %v", err)
	}
	return d
}

// expectRSS fails when the sidecar has ever had more than the promised
// memory resident.
func (s *sidecar) expectRSS(t *testing.T) {
	t.Helper()
	const limit = 30 << 20
	rss := peakRSS(t, s.cmd.Process.Pid)
	t.Logf("peak RSS of the sidecar: %.1f MiB", float64(rss)/(1<<20))
	if rss > limit {
		t.Errorf("peak RSS is %d bytes, more than %d", rss, limit)
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	return getBy(t, http.DefaultClient, url)
}

func getBy(t *testing.T, client *http.Client, url string) []byte {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s\n%s", url, resp.Status, body)
	}
	return body
}
