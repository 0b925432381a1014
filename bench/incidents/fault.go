package main

import (
	"context"
	"math/rand/v2"
	"net"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
)

// stage is a shop with its customers and the sidecar between them.
type stage struct {
	*shop
	*customers
	sidecar *sidecar
	rng     *rand.Rand
	context.Context
}

// fault is something that goes wrong, for real.
type fault struct {
	name, how string
	expected  []diagnosis.Cause
	// before changes the shop before the sidecar starts, begin brings the fault about.
	before func(*stage)
	begin  func(*stage)
}

func (s *stage) between(low, high float64) float64 { return low + (high-low)*s.rng.Float64() }

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

func of(c ...diagnosis.Cause) []diagnosis.Cause { return c }

var faults = []fault{
	{name: "upstream-down", how: "the service's listener and connections are closed", expected: of(diagnosis.UpstreamDown),
		begin: func(s *stage) { s.front.down() }},
	{name: "upstream-hang", how: "the service accepts requests and answers none", expected: of(diagnosis.UpstreamHang),
		begin: func(s *stage) { s.set(knobs{hang: true}) }},
	{name: "dead-dependency", how: "the database's listener is closed", expected: of(diagnosis.DeadDependency),
		begin: func(s *stage) { s.database.down() }},
	{name: "slow-dependency", how: "the database answers late", expected: of(diagnosis.SlowDependency),
		before: func(s *stage) { s.pool = make(chan struct{}, 400) },
		begin:  func(s *stage) { s.set(knobs{databaseDelay: seconds(s.between(1.5, 5))}) }},
	{name: "pool-exhaustion", how: "connections of the pool are taken and not given back", expected: of(diagnosis.PoolExhaustion),
		begin: func(s *stage) {
			s.set(knobs{databaseDelay: seconds(s.between(0.15, 0.3))})
			go func() {
				for range cap(s.pool) - 1 {
					s.pool <- struct{}{}
				}
			}()
		}},
	{name: "bad-deploy-route", how: "one route is slow after a deployment", expected: of(diagnosis.BadDeployRoute),
		begin: func(s *stage) {
			s.sidecar.changed("deployment")
			s.set(knobs{routeDelay: map[string]time.Duration{"/search": seconds(s.between(2, 6))}})
		}},
	{name: "failing-deploy-route", how: "one route fails after a commit", expected: of(diagnosis.BadDeployRoute),
		begin: func(s *stage) {
			s.sidecar.changed("commit")
			s.set(knobs{routeStatus: map[string]int{"/users": 500}})
		}},
	{name: "bad-route", how: "one route is slow", expected: of(diagnosis.BadRoute),
		begin: func(s *stage) {
			s.set(knobs{routeDelay: map[string]time.Duration{"/help": seconds(s.between(2, 6))}})
		}},
	{name: "deployment", how: "all routes are slow after a deployment", expected: of(diagnosis.Deployment),
		begin: func(s *stage) {
			s.sidecar.changed("deployment")
			s.set(knobs{allDelay: seconds(s.between(1.5, 4))})
		}},
	{name: "configuration", how: "all routes fail now and then after a flag was switched", expected: of(diagnosis.Configuration),
		begin: func(s *stage) {
			s.sidecar.changed("flag")
			s.set(knobs{errorShare: s.between(0.3, 0.9)})
		}},
	{name: "gc-pauses", how: "the whole process stops for seconds, again and again", expected: of(diagnosis.PauseOfProcess),
		begin: func(s *stage) {
			long, every := s.between(1.5, 4), s.between(8, 18)
			go func() {
				for s.Err() == nil {
					s.pause(seconds(long))
					time.Sleep(seconds(every))
				}
			}()
		}},
	{name: "retry-storm", how: "slow answers, impatient customers who try again", expected: of(diagnosis.RetryStorm),
		before: func(s *stage) { s.timeout = seconds(s.between(1.5, 3)) },
		begin: func(s *stage) {
			s.retry.Store(95)
			s.set(knobs{allDelay: seconds(s.between(4, 8))})
		}},
	{name: "traffic-spike", how: "several times as many customers", expected: of(diagnosis.TrafficSpike),
		before: func(s *stage) {
			s.workers = make(chan struct{}, 1+int(s.between(0.9, 1.2)*float64(s.rate.Load())/1000*0.012*2))
		},
		begin: func(s *stage) { s.rate.Store(uint64(float64(s.rate.Load()) * s.between(4, 7))) }},
	{name: "cold-start", how: "the service restarts and is slow at first", expected: of(diagnosis.ColdStart, diagnosis.UpstreamDown),
		begin: func(s *stage) {
			s.front.down()
			time.Sleep(seconds(s.between(4, 10)))
			s.set(knobs{warm: s.between(200, 400), half: seconds(s.between(8, 14))})
			_ = s.front.up()
		}},
	{name: "resource-ramp", how: "the work doubles every few minutes", expected: of(diagnosis.ResourceRamp),
		begin: func(s *stage) { s.set(knobs{double: seconds(s.between(70, 120))}) }},
	{name: "network-resets", how: "connections are reset once a request was read", expected: of(diagnosis.Network),
		begin: func(s *stage) {
			s.front.down()
			s.front.wrap = func(ln net.Listener) net.Listener { return resetting{ln} }
			_ = s.front.up()
		}},
	{name: "partial-outage", how: "a share of all requests is answered 500", expected: of(diagnosis.PartialOutage),
		begin: func(s *stage) { s.set(knobs{errorShare: 1 / float64(2+s.rng.IntN(4))}) }},
	{name: "slow-instance", how: "a share of all requests is slow", expected: of(diagnosis.PartialOutage),
		begin: func(s *stage) {
			s.set(knobs{slowShare: 1 / float64(2+s.rng.IntN(3)), allDelay: seconds(s.between(1.5, 5))})
		}},
	{name: "dns-failure", how: "the upstream's name does not resolve", expected: of(diagnosis.NameNotFound),
		before: func(s *stage) { s.sidecar.upstream = "http://shop.invalid" }},
	{name: "certificate", how: "the upstream's certificate expires while it serves", expected: of(diagnosis.Certificate),
		before: func(s *stage) { s.sidecar.expiring(s.shop, 150*time.Second) }},
}

// resetting resets each connection on its first write.
type resetting struct{ net.Listener }

func (l resetting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &resettingConn{c}, nil
}

type resettingConn struct{ net.Conn }

func (c *resettingConn) Write([]byte) (int, error) {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	return 0, c.Close()
}
