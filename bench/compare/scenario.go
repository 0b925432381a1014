package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/countersign-dev/countersign/bench/load"
	"github.com/countersign-dev/countersign/bench/peer"
)

// Scenario is one kind of traffic, and who is given it.
type Scenario struct {
	Name           string   `json:"name"`
	About          string   `json:"about"`
	Body           int      `json:"body"` // bytes of an answer; 128, 16384 or 1048576
	Routes         bool     `json:"routes,omitempty"`
	NewConnections bool     `json:"new_connections,omitempty"`
	Connections    int      `json:"connections"`
	Rate           float64  `json:"rate,omitempty"` // requests a second, open loop; 0 is as many as are answered
	HalfSaturation bool     `json:"half_saturation,omitempty"`
	Times          int      `json:"times,omitempty"` // rounds, in multiples of what was asked for; 0 is one
	Peers          []string `json:"peers"`
}

// open says whether requests come at a rate of their own, and latencies count from when they were due.
func (s Scenario) open() bool { return s.Rate > 0 || s.HalfSaturation }

const (
	small  = 128
	medium = 16 << 10
	large  = 1 << 20
	steady = 3000 // requests a second
)

// Names of scenarios that claims are made of.
const (
	noiseSaturated = "noise-saturated"
	noiseSteady    = "noise-steady"
	saturated      = "small-32"
	saturatedLarge = "large-32"
	steadyRate     = "steady-3000"
	halfSaturation = "half"
	measuring      = "measuring"
	probing        = "probe"
)

// everybody is who is compared, in the order of the tables.
var everybody = []string{
	peer.Direct, peer.Countersign, peer.CountersignOff, peer.Nginx, peer.NginxLog, peer.HAProxy, peer.HAProxyLog,
	peer.Fasthttp, peer.HTTPUtil, peer.CaddyLog,
}

// decisive is who the claims are about, and the sidecar without measuring.
var decisive = []string{peer.Direct, peer.Countersign, peer.CountersignOff, peer.NginxLog, peer.HAProxyLog}

// scenarios are what is measured, thinned from all that there could be to what means something: one dimension changes
// at a time, from 128 bytes over 32 kept connections.
func scenarios() []Scenario {
	aa := []string{peer.Countersign, peer.CountersignTwo}
	return []Scenario{
		{Name: noiseSaturated, About: "A against A: two sidecars started alike, saturated. What differs is noise.", Body: small, Connections: 32, Peers: aa},
		{Name: noiseSteady, About: "A against A: two sidecars started alike, at 3,000 requests a second.", Body: small, Connections: 32, Rate: steady, Peers: aa},
		{Name: saturated, About: "128 bytes, 32 kept connections, saturated.", Body: small, Connections: 32, Peers: everybody},
		// Right after what its rate comes from: on a shared machine half of what it carried a while ago may be all it carries.
		{Name: halfSaturation, About: "128 bytes, half of what the slowest of the sidecar, nginx with log and HAProxy with log carries saturated, 32 kept connections.",
			Body: small, Connections: 32, HalfSaturation: true, Peers: everybody},
		{Name: "small-1", About: "128 bytes, one kept connection, the next request when the answer is there.", Body: small, Connections: 1, Peers: everybody},
		{Name: "small-512", About: "128 bytes, 512 kept connections, saturated.", Body: small, Connections: 512, Peers: everybody},
		{Name: "small-new", About: "128 bytes, a new connection for each request, 32 at once, saturated.", Body: small, Connections: 32, NewConnections: true, Peers: everybody},
		{Name: "medium-32", About: "16 KiB, 32 kept connections, saturated.", Body: medium, Connections: 32, Peers: everybody},
		{Name: saturatedLarge, About: "1 MiB, 32 kept connections, saturated.", Body: large, Connections: 32, Peers: everybody},
		{Name: "routes", About: "Ten routes with ids that change, 32 kept connections, saturated.", Routes: true, Connections: 32, Peers: decisive},
		{Name: steadyRate, About: "128 bytes, 3,000 requests a second whatever comes of it, 32 kept connections.", Body: small, Connections: 32, Rate: steady, Peers: everybody},
		{Name: measuring, About: "The sidecar with measuring on and off, 128 bytes, 32 kept connections, saturated.", Body: small, Connections: 32, Times: 4,
			Peers: []string{peer.Countersign, peer.CountersignOff}},
		{Name: probing, About: "The upstream with the eBPF probe beside it and without, each in a network namespace of its own, 128 bytes, 32 kept connections, saturated.",
			Body: small, Connections: 32, Times: 4, Peers: []string{peer.Direct, peer.Probe}},
	}
}

// shortScenarios are what shows that everything works.
func shortScenarios() (short []Scenario) {
	for _, s := range scenarios() {
		if s.Name == saturated || s.Name == steadyRate || s.Name == probing {
			s.Times = 1
			short = append(short, s)
		}
	}
	return short
}

// buildScenarios are those by which two builds of the sidecar are told apart.
func buildScenarios() (some []Scenario) {
	for _, s := range scenarios() {
		if s.HalfSaturation || !slices.Contains(s.Peers, peer.NginxLog) {
			continue
		}
		s.Peers = []string{peer.Countersign, peer.CountersignTwo, peer.NginxLog, peer.HAProxyLog}
		some = append(some, s)
	}
	return some
}

// plan is what the load generator is told.
func (s Scenario) plan(addr string, each, warm time.Duration) load.Plan {
	p := load.Plan{Addr: addr, Connections: s.Connections, NewConnections: s.NewConnections, Rate: s.Rate, For: each, Warm: warm, Threads: 1}
	if s.Rate == 0 && s.Connections > 1 {
		p.Threads = 2 // as fast as there are processors to do it on, as wrk -t2
	}
	if !s.Routes {
		p.Requests = []load.Request{{Path: fmt.Sprintf("/bytes/%d", s.Body)}}
		return p
	}
	const routes, ids = 10, 100
	for i := range routes * ids {
		p.Requests = append(p.Requests, load.Request{Path: fmt.Sprintf("/route%d/%d", i%routes, 1000+i)})
	}
	return p
}

// order is who is measured in which turn of a round: everybody begins once, and every other round goes the other way
// round, so that a drift of the machine, and what a peer leaves behind for the next one, fall on all alike.
func order(peers, round int) []int {
	turns := make([]int, peers)
	for i := range turns {
		turns[i] = (i + round) % peers
	}
	if round%2 == 1 {
		slices.Reverse(turns)
	}
	return turns
}
