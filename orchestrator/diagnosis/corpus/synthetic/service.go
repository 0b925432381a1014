// Package synthetic makes recordings of incidents from a model of a service: its
// routes, workers and pool, what it depends on, its clients and their retries, and
// one fault with parameters drawn from a seed. The sidecar's own code measures and
// decides on what the model does, so that a recording is what would have been
// recorded. It is for tests.
package synthetic

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"

	"github.com/countersign-dev/countersign/histogram"
)

// route is one of the service's.
type route struct {
	name   string
	weight float64
	median float64 // seconds of work
	sigma  float64
	depend bool // needs the dependency
}

// request is one exchange, over or not. Times are seconds.
type request struct {
	arrival, end float64
	route        int
	outcome      histogram.Outcome
	gone         bool // the client left
	status       int
	failure      string
	attempt      int
}

// service is the model. Faults change its fields as time goes by.
type service struct {
	rng    *rand.Rand
	routes []route
	rate   float64 // requests a second

	workers, pool times // when each is free again
	poolTimeout   float64
	depTime       float64 // seconds that the dependency takes, usually
	errorRate     float64
	clientTimeout float64
	connectMS     float64
	churn         float64 // connections made a second

	fault fault

	queue    arrivals
	requests []request
	pauses   [][2]float64
}

// effect is what a fault does to a request that arrives.
type effect struct {
	failure  string  // the upstream cannot be used, for that reason
	after    float64 // which shows after so many seconds
	status   int     // the answer is an error, at once
	factor   float64 // of the work, 1 usually
	added    float64 // seconds
	depAdded float64 // seconds that the dependency takes longer
	never    bool    // no answer comes
	outlast  bool    // the error comes after the work
}

// fault is what goes wrong from a time on.
type fault struct {
	at     float64
	effect func(t float64, r int) effect
	rate   func(t float64) float64 // factor of the load, nil: 1
	pool   func(t float64) int     // how many of the pool are left, nil: all
	retry  float64                 // how many of the failed and the impatient try again
	// connect is the time a connection takes, nil: as usual.
	connect func(t float64) float64
}

type times []float64

func (h times) Len() int           { return len(h) }
func (h times) Less(i, j int) bool { return h[i] < h[j] }
func (h times) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *times) Push(x any)        { *h = append(*h, x.(float64)) }
func (h *times) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

type arrivals []request

func (h arrivals) Len() int           { return len(h) }
func (h arrivals) Less(i, j int) bool { return h[i].arrival < h[j].arrival }
func (h arrivals) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *arrivals) Push(x any)        { *h = append(*h, x.(request)) }
func (h *arrivals) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

var names = []string{
	"GET /products", "GET /products/{id}", "POST /orders", "GET /search", "GET /users/{id}", "POST /login",
	"GET /cart", "PUT /cart/{id}", "POST /webhooks/payment", "GET /reports/{id}", "GET /feed",
}

func newService(rng *rand.Rand) *service {
	s := &service{
		rng: rng, rate: 15 + 55*rng.Float64(), depTime: 0.004 + 0.02*rng.Float64(),
		clientTimeout: 8 + 22*rng.Float64(), poolTimeout: 5 + 25*rng.Float64(), errorRate: 0.004 * rng.Float64(),
		connectMS: 0.3 + 2*rng.Float64(), churn: 0.1 + 0.5*rng.Float64(),
	}
	count := 5 + rng.IntN(5)
	depend := 2 + rng.IntN(count-3)
	for i, n := range rng.Perm(len(names))[:count] {
		s.routes = append(s.routes, route{
			name: names[n], weight: 0.3 + rng.Float64(), median: 0.004 * math.Exp(2.2*rng.Float64()), sigma: 0.25 + 0.3*rng.Float64(), depend: i < depend,
		})
	}
	s.workers = make(times, 200+rng.IntN(200))
	s.pool = make(times, 10+rng.IntN(20))
	return s
}

func (s *service) pick() int {
	var sum float64
	for _, r := range s.routes {
		sum += r.weight
	}
	x := s.rng.Float64() * sum
	for i, r := range s.routes {
		if x -= r.weight; x <= 0 {
			return i
		}
	}
	return 0
}

// responseTimeout is the sidecar's, in seconds.
const responseTimeout = 30

// run serves until the given second.
func (s *service) run(until float64) {
	t := 0.0
	for t < until {
		rate := s.rate
		if t >= s.fault.at && s.fault.rate != nil {
			rate *= s.fault.rate(t - s.fault.at)
		}
		t += s.rng.ExpFloat64() / rate
		heap.Push(&s.queue, request{arrival: t, route: s.pick()})
		for len(s.queue) > 0 && s.queue[0].arrival <= t {
			s.serve(heap.Pop(&s.queue).(request))
		}
	}
}

// serve works out how a request ends.
func (s *service) serve(r request) {
	e := effect{factor: 1}
	if r.arrival >= s.fault.at && s.fault.effect != nil {
		e = s.fault.effect(r.arrival-s.fault.at, r.route)
		if e.factor == 0 {
			e.factor = 1
		}
	}
	switch {
	case e.failure != "":
		r.end, r.outcome, r.failure = r.arrival+0.0005+e.after, histogram.GatewayError, e.failure
	case e.never:
		r.end, r.outcome, r.failure = r.arrival+responseTimeout, histogram.GatewayError, "upstream_timeout"
	case e.status >= 400 && !e.outlast:
		r.end = r.arrival + 0.002 + 0.004*s.rng.Float64() + e.after
		s.answer(&r, e.status)
	default:
		s.work(&r, e)
	}
	s.leave(&r)
	s.requests = append(s.requests, r)
}

func (s *service) answer(r *request, status int) {
	r.status = status
	switch {
	case status >= 500:
		r.outcome = histogram.ServerError
	case status >= 400:
		r.outcome = histogram.ClientError
	}
}

// work takes a worker and, for routes that depend, a place in the pool.
func (s *service) work(r *request, e effect) {
	to := s.routes[r.route]
	need := to.median*math.Exp(to.sigma*s.rng.NormFloat64())*e.factor + e.added
	start := max(r.arrival, heap.Pop(&s.workers).(float64))
	end, status := start, 200
	if to.depend {
		s.shrink(r.arrival)
		if begin := max(start, s.pool[0]); begin-start > s.poolTimeout {
			end, need, status = start+s.poolTimeout, 0, 500
		} else {
			heap.Pop(&s.pool)
			end = s.through(begin, s.depTime*math.Exp(0.3*s.rng.NormFloat64())*e.factor+e.depAdded)
			heap.Push(&s.pool, end)
		}
	}
	end = s.through(end, need)
	if s.rng.Float64() < s.errorRate {
		status = 500
	}
	if e.status != 0 {
		status = e.status
	}
	heap.Push(&s.workers, end)
	r.end = end
	s.answer(r, status)
	if end-r.arrival > responseTimeout {
		r.end, r.outcome, r.failure, r.status = r.arrival+responseTimeout, histogram.GatewayError, "upstream_timeout", 0
	}
}

// shrink takes from the pool what the fault leaves no room for.
func (s *service) shrink(t float64) {
	if t < s.fault.at || s.fault.pool == nil {
		return
	}
	for left := max(1, s.fault.pool(t-s.fault.at)); len(s.pool) > left; {
		heap.Pop(&s.pool)
	}
}

// through is when work that begins at start is done, pauses counted out.
func (s *service) through(start, need float64) float64 {
	end := start + need
	for _, p := range s.pauses {
		if p[0] < end && p[1] > start {
			end += p[1] - max(p[0], start)
		}
	}
	return end
}

// leave has impatient clients leave, and some of those who got nothing try again.
func (s *service) leave(r *request) {
	if r.end-r.arrival > s.clientTimeout {
		r.gone, r.end = true, r.arrival+s.clientTimeout
	}
	bad := r.gone || r.outcome.IsError()
	if bad && r.arrival >= s.fault.at && r.attempt < 4 && s.rng.Float64() < s.fault.retry {
		heap.Push(&s.queue, request{arrival: r.end + 0.1 + 0.4*s.rng.Float64(), route: r.route, attempt: r.attempt + 1})
	}
}

func nanos(seconds float64) int64 { return int64(seconds * float64(time.Second)) }
