//go:build slow

package e2e

import (
	"net"
	"testing"
)

// TestProbeBetweenHosts has clients and the API on hosts of their own, and a
// wire between them that leaves the segments to the interfaces, or does not. Proxy and probe watch the same port.
func TestProbeBetweenHosts(t *testing.T) {
	for j, offloads := range []string{"on", "off"} {
		for i, attach := range attachments {
			t.Run("offloads "+offloads+" by "+attach, func(t *testing.T) {
				undisturbed(t)
				client, host := newNamespace(t), newNamespace(t)
				join(t, client, host)
				client.offload(t, offloads)
				host.offload(t, offloads)
				proxy, probe, front := startBeside(t, host, attach)
				expectAgreement(t, proxy, map[port]*sidecar{ofProxy: probe}, client, net.JoinHostPort([]string{rightIPv4, rightIPv6}[(i+j)%2], front))
			})
		}
	}
}

// startBeside runs an API, a proxy, and a probe at the proxy's port.
func startBeside(t *testing.T, host namespace, attach string) (proxy, probe *sidecar, front string) {
	t.Helper()
	api := host.listen(t, "127.0.0.1:0")
	serveProbedAPI(t, api)
	proxy = startProxy(t, host, api.Addr().String())
	front = portOf(t, proxy.address)
	return proxy, startProbe(t, host, front, attach, "--max-routes", "1000"), front
}

// TestProbeOnABadWire, which loses, repeats and reorders segments: the probe knows of every request that the
// proxy has had, and says why when it has no latency of one.
func TestProbeOnABadWire(t *testing.T) {
	t.Parallel()
	for i, attach := range attachments {
		t.Run(attach, func(t *testing.T) {
			t.Parallel()
			client, host := newNamespace(t), newNamespace(t)
			joinBadly(t, client, host)
			proxy, probe, front := startBeside(t, host, attach)
			for _, k := range trafficKinds {
				k.send(t, client, net.JoinHostPort([]string{rightIPv4, rightIPv6}[i], front), k.path(0))
			}
			var a, b counts
			eventually(t, "the probe should account for what the proxy does", func() bool {
				a, b = proxy.counts(t), probe.counts(t)
				return a.total() == b.total()
			})
			t.Logf("the proxy counts %v, the probe %v", a, b)
			// After a gap a client that sends single bytes is seen by its responses alone.
			gaps, unseen := b["sequence_gap"], b["resync"]
			if a.measured()-b.measured() != gaps+unseen || gaps*100 > b.total() || unseen*20 > b.total() {
				t.Errorf("%d requests are without latency; %d missed bytes, and %d came while the place was lost", a.measured()-b.measured(), gaps, unseen)
			}
		})
	}
}
