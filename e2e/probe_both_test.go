//go:build slow

package e2e

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// startBoth runs both sensors on the same upstream connections. The upstream is
// not asked while there is no traffic: the probe sees that, and the proxy does not.
func startBoth(t *testing.T, host namespace, upstream, attach string) *sidecar {
	t.Helper()
	needHook(t, attach)
	return startSidecarBy(t, atOnce(t), host, []string{"--sensor", "both", "--upstream", upstream, "--listen", "127.0.0.1:0", "--policy", unasking(t), "--ebpf-attach", attach})
}

// unasking is a policy by which an idle upstream is not asked.
func unasking(t *testing.T) string {
	t.Helper()
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	writeText(t, policy, "version: unasked-1\nupstream:\n  enabled: false\n")
	return policy
}

// comparison is what /status says of two sensors.
type comparison struct {
	Proxy, Ebpf struct {
		Requests, Unmeasured int
		P95                  float64 `json:"p95_ms"`
	}
	Difference *float64 `json:"p95_difference_ms"`
}

func (s *sidecar) comparison(t *testing.T) comparison {
	t.Helper()
	var status struct{ Comparison comparison }
	if err := json.Unmarshal(s.read(t, "/status"), &status); err != nil {
		t.Fatal(err)
	}
	return status.Comparison
}

// TestBothSensorsAgree lets one sidecar compare its two, on the way between
// proxy and API, and tell the difference: the proxy's way to the API and back.
func TestBothSensorsAgree(t *testing.T) {
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			undisturbed(t)
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, api)
			for attempt := 1; ; attempt++ {
				s := startBoth(t, host, "http://"+api.Addr().String(), attach)
				oneByOne(200, "GET", "", 200)(t, host, s.address, "/kept/sized")
				oneByOne(100, "GET", "", 200)(t, host, s.address, "/cut/chunks")
				oneByOne(50, "HEAD", "", 200)(t, host, s.address, "/head/sized")
				oneByOne(50, "GET", "", 204)(t, host, s.address, "/none/empty")
				var c comparison
				eventually(t, "both should have measured every request", func() bool {
					c = s.comparison(t)
					return c.Proxy.Requests == 400 && c.Ebpf.Requests == 400
				})
				if c.Proxy.Unmeasured != 0 || c.Ebpf.Unmeasured != 0 || c.Difference == nil {
					t.Fatalf("%+v", c)
				}
				if d := s.series(t)["countersign_sensor_p95_difference_seconds"] * 1000; d < *c.Difference-0.001 || d > *c.Difference+0.001 {
					t.Errorf("the metric says %v ms, the status %v", d, *c.Difference)
				}
				t.Logf("attempt %d: P95 %.3f ms by the proxy, %.3f by the probe, %+.0f µs", attempt, c.Proxy.P95, c.Ebpf.P95, *c.Difference*1000)
				// The proxy's is around the probe's, except when it was itself held up
				// while it wrote: that time it takes for the client's.
				d, exact := *c.Difference, bracket(c.Proxy.P95)
				if d >= -exact && d <= exact+milliseconds(near) {
					return
				}
				if attempt == 2*attempts {
					if d < -exact || d > exact+milliseconds(near)+handover(t, host) {
						t.Fatal("the sensors differ in every attempt")
					}
					return
				}
				s.kill()
			}
		})
	}
}

// TestBothSensorsSeeAResetServer: what the upstream breaks off is an error to both.
func TestBothSensorsSeeAResetServer(t *testing.T) {
	t.Parallel()
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, api)
			s := startBoth(t, host, "http://"+api.Addr().String(), attach)
			for range 20 {
				v := visit(t, host, s.address)
				v.send(t, requestOf("GET", "/broken/reset", ""))
				_, _ = v.r.ReadString(0) // to the end, which is no good one
				v.Close()
			}
			s.expectCounts(t, counts{"gateway_error": 20})
			eventually(t, "the probe should have measured every request", func() bool {
				c := s.comparison(t)
				return c.Ebpf.Requests == 20 && c.Ebpf.Unmeasured == 0
			})
		})
	}
}

// TestProbeTakesUpOlderConnections: one that was there before is measured from
// its next request on, also when the probe comes in the middle of an answer.
func TestProbeTakesUpOlderConnections(t *testing.T) {
	t.Parallel()
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, api)
			address := api.Addr().String()
			idle, busy := visit(t, host, address), visit(t, host, address)
			idle.send(t, requestOf("GET", "/before/sized", ""))
			idle.receive(t, "GET", 200)
			busy.send(t, requestOf("GET", "/during/zeros?bytes=67108864", "")) // more than the buffers between can take
			if _, err := busy.r.Peek(1); err != nil {
				t.Fatal(err)
			}
			s := startProbe(t, host, portOf(t, address), attach)
			busy.receive(t, "GET", 200)
			var took times
			for range 50 {
				for _, v := range []*visitor{idle, busy} {
					took.add(func() {
						v.send(t, requestOf("GET", "/after/sized", ""))
						v.receive(t, "GET", 200)
					})
				}
			}
			p95 := s.awaitRoute(t, "/after/sized", 100)
			if p95 < milliseconds(apiDelay) || p95 > took.p95()+bracket(p95) {
				t.Errorf("P95 %v ms, of an API that takes %v, and %v ms by the client", p95, apiDelay, took.p95())
			}
			if all := s.counts(t); all.measured() != 100 {
				t.Errorf("%v", all)
			}
		})
	}
}

// TestProbeOfAGibibyte times a whole one to its last byte, in each direction.
func TestProbeOfAGibibyte(t *testing.T) {
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			var sending span
			serveAPI(t, api, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut {
					probedAPI(w, r)
					return
				}
				sending.begin = time.Now()
				w.Header().Set("Content-Length", strconv.Itoa(gibibyte))
				_, _ = io.CopyN(w, &sending, gibibyte)
			})
			probe := startProbe(t, host, portOf(t, api.Addr().String()), attach)
			v := visit(t, host, api.Addr().String())
			begin := time.Now()
			v.send(t, requestOf("GET", "/down/zeros", ""))
			v.receive(t, "GET", 200)
			took := milliseconds(time.Since(begin))
			v.send(t, "PUT /up/sized HTTP/1.1\r\nHost: api.example\r\nContent-Length: 1073741824\r\n\r\n")
			last := sendZeros(t, v.Conn, gibibyte)
			v.receive(t, "PUT", 200)
			answered := milliseconds(time.Since(last))
			down, up := probe.awaitRoute(t, "/down/zeros", 1), probe.awaitRoute(t, "/up/sized", 1)
			sent := milliseconds(sending.end.Sub(sending.begin))
			t.Logf("down: %.1f ms by the API, %.1f by the client, %.1f by the probe; up: %.1f by the probe", sent, took, down, up)
			if down < sent-bracket(sent) || down > took+bracket(took) {
				t.Errorf("the download took between %.1f and %.1f ms, and %.1f are measured", sent, took, down)
			}
			if up < milliseconds(apiDelay) || up > answered+bracket(up) {
				t.Errorf("the API took %v after it had the upload, %.1f ms by the client, and %.1f are measured", apiDelay, answered, up)
			}
			probe.expectCounts(t, counts{"success": 2})
			probe.expectRSS(t)
		})
	}
}

// span reads zeros, and is from its begin to when the last of them were asked for.
type span struct {
	zeros
	begin, end time.Time
}

func (s *span) Read(b []byte) (int, error) {
	s.end = time.Now()
	return s.zeros.Read(b)
}

// sendZeros returns when it began to send the last of them.
func sendZeros(t *testing.T, to net.Conn, n int) (last time.Time) {
	t.Helper()
	block := make([]byte, 1<<20)
	for ; n > 0; n -= len(block) {
		last = time.Now()
		if _, err := to.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	return last
}
