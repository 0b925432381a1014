//go:build slow

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// startProbe runs `countersign run --sensor ebpf` for a port in a namespace, by a hook.
func startProbe(t *testing.T, inside namespace, port, attach string, flags ...string) *sidecar {
	t.Helper()
	needHook(t, attach)
	return startSidecarIn(t, inside, append([]string{"--sensor", "ebpf", "--port", port, "--ebpf-attach", attach}, flags...)...)
}

// attachments are all hooks.
var attachments = []string{"tcx", "socket"}

// hooks is what `probe check` says of each, of what this kernel has.
var hooks = sync.OnceValues(func() (map[string]string, error) {
	out, err := exec.Command(binary, "probe", "check", "--json").Output() // its exit code says no more
	var report struct {
		Hooks []struct{ Attach, Reason string }
	}
	if bad := json.Unmarshal(out, &report); bad != nil {
		return nil, errors.Join(err, bad)
	}
	reasons := map[string]string{}
	for _, h := range report.Hooks {
		reasons[h.Attach] = h.Reason
	}
	return reasons, nil
})

// needHook skips the test where the kernel does not have the hook. Whatever else is in its way fails it.
func needHook(t *testing.T, attach string) {
	t.Helper()
	reasons, err := hooks()
	if err != nil {
		t.Fatal(err)
	}
	for _, absent := range []string{"has no tcx hook", "has no packet sockets"} {
		if strings.Contains(reasons[attach], absent) {
			t.Skipf("%s: %s", attach, reasons[attach])
		}
	}
}

// bracket is the width of the bucket that a P95 lies in at most, in its own unit.
func bracket(p95 float64) float64 { return p95 / 1000 }

// TestProbeAgreesWithProxy has all look at the same requests: the proxy serves
// them, one probe watches its port and another the API's. Each kind of traffic has a route of its own.
func TestProbeAgreesWithProxy(t *testing.T) {
	for i, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			undisturbed(t)
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, api)
			proxy := startProxy(t, host, api.Addr().String())
			front := portOf(t, proxy.address)
			probes := map[port]*sidecar{
				ofProxy: startProbe(t, host, front, attach, "--max-routes", "1000"),
				ofAPI:   startProbe(t, host, portOf(t, api.Addr().String()), attach, "--max-routes", "1000"),
			}
			expectAgreement(t, proxy, probes, host, net.JoinHostPort([]string{"127.0.0.1", "::1"}[i], front))
		})
	}
}

// startProxy runs one on a port of every address, which asks the API nothing by itself, and which is there as soon as
// a segment is.
func startProxy(t *testing.T, host namespace, api string) *sidecar {
	t.Helper()
	return startSidecarBy(t, atOnce(t), host, []string{"--upstream", "http://" + api, "--listen", ":0", "--max-routes", "1000", "--policy", unasking(t)})
}

// TestProbeOfPipelines: a request counts from when it is there, however many
// before it are served first. The proxy takes it up later, so the client is asked how long it took until it was handed
// the answer.
func TestProbeOfPipelines(t *testing.T) {
	for _, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			undisturbed(t)
			host := newNamespace(t)
			api := host.listen(t, "127.0.0.1:0")
			serveProbedAPI(t, api)
			probe := startProbe(t, host, portOf(t, api.Addr().String()), attach)
			const batches, depth = 5, 8
			path := func(try int) string { return fmt.Sprintf("/try-%c/sized", 'a'+try) }
			var byClient []float64
			for try := range attempts {
				byClient = append(byClient, timePipelines(t, host, api.Addr().String(), path(try), batches, depth))
			}
			allowed := bracket(depth*milliseconds(apiDelay)) + milliseconds(near) + handover(t, host)
			least := math.Inf(1)
			for try, want := range byClient {
				got := probe.awaitRoute(t, path(try), batches*depth)
				t.Logf("P95 %.3f ms by the client, %.3f by the probe", want, got)
				if got > want+bracket(want) {
					t.Error("the probe's P95 is above that of the client, which is around it")
				}
				least = min(least, want-got)
			}
			if least > allowed {
				t.Errorf("client and probe differ by %.0f µs or more in every attempt", least*1000)
			}
		})
	}
}

// timePipelines sends batches of requests at once, and returns the P95 of the
// times from a batch's sending to its answers, in milliseconds.
func timePipelines(t *testing.T, from namespace, address, path string, batches, depth int) float64 {
	t.Helper()
	v := visit(t, from, address)
	defer v.Close()
	var took times
	for range batches {
		begin := time.Now()
		v.send(t, strings.Repeat(requestOf("GET", path, ""), depth))
		for range depth {
			v.receive(t, "GET", 200)
			took = append(took, milliseconds(time.Since(begin)))
		}
	}
	return took.p95()
}

// times are those that a client waited, in milliseconds.
type times []float64

// add waits for f.
func (took *times) add(f func()) {
	begin := time.Now()
	f()
	*took = append(*took, milliseconds(time.Since(begin)))
}

func (took times) p95() float64 {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[(len(sorted)*95+99)/100-1]
}

const (
	// attempts is how often a kind of traffic is tried in a round, whose P95s are compared. What disturbs them
	// moves them apart, whichever processor it comes to: the least difference is the sensors' own.
	attempts = 3
	// rounds is how often those are tried that were disturbed each time before. After the last one a busy host is
	// allowed what it takes to hand over a segment, in the best of all attempts.
	rounds = 3
)

// expectAgreement sends every kind of traffic to address, each attempt below a path of its
// own, and compares what the sensors made of it: the P95s, and in the end the counts.
func expectAgreement(t *testing.T, proxy *sidecar, probes map[port]*sidecar, from namespace, address string) {
	t.Helper()
	type place struct {
		kind string
		at   port
	}
	kinds, nearest := trafficKinds, map[place]float64{}
	for round := 0; round < rounds && len(kinds) > 0; round++ {
		for _, k := range kinds {
			for try := range attempts {
				k.send(t, from, address, k.path(round*attempts+try))
			}
		}
		allowed := milliseconds(near)
		if round == rounds-1 {
			handed := handover(t, from)
			t.Logf("a segment is handed over in %.0f µs", handed*1000)
			allowed += handed
		}
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k traffic) bool {
			agreed := true
			for at, probe := range probes {
				apart := expectOrder(t, k, proxy, probe, at, round)
				here := place{k.name, at}
				if before, ok := nearest[here]; ok {
					apart = min(apart, before)
				}
				nearest[here] = apart
				agreed = agreed && (!k.near[at] || apart <= allowed)
			}
			return agreed
		})
	}
	for _, k := range kinds {
		t.Errorf("%s: the sensors differ in every attempt", k.name)
	}
	for at, probe := range probes {
		var a, b counts
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the proxy counts %v, the probe at %s %v", a, at, b)
			}
		})
		eventually(t, "proxy and probe should count the same", func() bool {
			a, b = proxy.counts(t), probe.counts(t)
			return maps.Equal(a, b)
		})
	}
}

// expectOrder compares the P95s of a round's attempts. Each request reaches the proxy's port before the proxy has it,
// and the API's port after that, and its response the other way round: so must their quantiles be, in every attempt.
// It returns how far apart they are in the best of them, in milliseconds beyond the bracket.
func expectOrder(t *testing.T, k traffic, proxy, probe *sidecar, at port, round int) float64 {
	t.Helper()
	least, of := math.Inf(1), 0.0
	for try := range attempts {
		route, n := k.route(round*attempts+try), k.want.measured()
		a, b := proxy.awaitRoute(t, route, n), probe.awaitRoute(t, route, n)
		apart := b - a
		if at == ofAPI {
			apart = a - b
		}
		if k.pieces && at == ofAPI {
			apart = math.Abs(apart)
		} else if apart < -bracket(a) {
			t.Errorf("%s, at %s: P95 %.3f ms by the proxy, and %.3f by the probe, on the wrong side of it", k.name, at, a, b)
		}
		if apart-bracket(a) < least {
			least, of = apart-bracket(a), a
		}
	}
	t.Logf("%s, at %s: P95 %.3f ms by the proxy, apart %+.0f µs beside its bracket", k.name, at, of, least*1000)
	return least
}

// path is what an attempt asks for.
func (k traffic) path(try int) string {
	return strings.ReplaceAll("/"+k.name+"/"+fmt.Sprintf("try-%c", 'a'+try)+"/"+k.answer, " ", "-")
}

// route is the name under which its requests are counted, without the method.
func (k traffic) route(try int) string {
	path, _, _ := strings.Cut(k.path(try), "?")
	return path
}

// measured is how many of the counted ones have an outcome.
func (c counts) measured() (n int) {
	for _, outcome := range []string{"success", "client_error", "server_error", "gateway_error"} {
		n += c[outcome]
	}
	return n
}

// awaitRoute waits until a health document has n latencies of the route, and
// returns their P95 in milliseconds, 0 of none.
func (s *sidecar) awaitRoute(t *testing.T, path string, n int) (p95 float64) {
	t.Helper()
	if n == 0 {
		return 0
	}
	last := 0
	t.Cleanup(func() {
		if t.Failed() && last != n {
			t.Logf("%d requests were measured of %s, expected %d", last, path, n)
		}
	})
	eventually(t, fmt.Sprintf("%d requests of %s should be measured", n, path), func() bool {
		last = 0
		for _, r := range s.health(t).Routes {
			if _, of, _ := strings.Cut(r.Route, " "); of == path {
				last, p95 = r.SampleSize, r.P95
			}
		}
		return last == n
	})
	return p95
}
