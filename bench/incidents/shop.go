package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// shop is the service: a few routes, some of which ask a database, which is a
// server of its own, through a pool.
type shop struct {
	database *endpoint
	front    *endpoint
	pool     chan struct{}
	workers  chan struct{}
	client   *http.Client
	world    sync.RWMutex // held for reading by whoever works: a pause takes it for writing

	mu    sync.Mutex // guards what follows
	fault knobs
	since time.Time
	rng   *rand.Rand

	served atomic.Uint64
}

// knobs are what is wrong; the zero value is nothing.
type knobs struct {
	databaseDelay time.Duration
	routeDelay    map[string]time.Duration
	allDelay      time.Duration
	routeStatus   map[string]int
	errorShare    float64 // of all requests, answered 500
	slowShare     float64 // of all requests, slower by allDelay
	hang          bool
	warm          float64       // factor of the work just after the start
	half          time.Duration // in which that factor halves
	double        time.Duration // in which the work doubles
}

// endpoint is a listener that can go and come back on the same port.
type endpoint struct {
	handler http.Handler
	address string
	server  *http.Server
	wrap    func(net.Listener) net.Listener
}

func (e *endpoint) up() error {
	address := e.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	var ln net.Listener
	var err error
	for range 50 {
		if ln, err = net.Listen("tcp", address); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // the port of the one before is still being given back
	}
	if err != nil {
		return err
	}
	e.address = ln.Addr().String()
	if e.wrap != nil {
		ln = e.wrap(ln)
	}
	e.server = &http.Server{Handler: e.handler, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go func(s *http.Server) { _ = s.Serve(ln) }(e.server)
	return nil
}

// down closes the listener and every connection.
func (e *endpoint) down() {
	if e.server != nil {
		_ = e.server.Close()
		e.server = nil
	}
}

func openShop(seed uint64) (*shop, error) {
	s := &shop{
		pool: make(chan struct{}, 20), workers: make(chan struct{}, 256), rng: rand.New(rand.NewPCG(seed, 7)),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 20 * time.Second},
	}
	s.database = &endpoint{handler: http.HandlerFunc(s.query)}
	s.front = &endpoint{handler: http.HandlerFunc(s.serve)}
	if err := s.database.up(); err != nil {
		return nil, err
	}
	return s, s.front.up()
}

func (s *shop) close() {
	s.front.down()
	s.database.down()
	s.client.CloseIdleConnections()
}

func (s *shop) set(k knobs) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault, s.since = k, time.Now()
}

// draw is what is wrong, for how long, and two random numbers.
func (s *shop) draw() (k knobs, age time.Duration, a, b float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault, time.Since(s.since), s.rng.Float64(), s.rng.Float64()
}

// work is how long a route takes by itself, in milliseconds, and whether it asks
// the database.
var work = map[string]struct {
	ms     float64
	asking bool
}{
	"/products": {3, false}, "/search": {8, false}, "/cart": {5, true}, "/orders": {9, true}, "/users": {4, true}, "/help": {2, false},
}

func (s *shop) serve(w http.ResponseWriter, r *http.Request) {
	s.workers <- struct{}{}
	defer func() { <-s.workers }()
	s.served.Add(1)
	k, age, a, b := s.draw()
	route := r.URL.Path
	for i := 1; i < len(route); i++ {
		if route[i] == '/' {
			route = route[:i]
		}
	}
	if k.hang {
		<-r.Context().Done()
		return
	}
	if status := k.routeStatus[route]; status != 0 {
		w.WriteHeader(status)
		return
	}
	if a < k.errorShare {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	took := time.Duration(work[route].ms * (0.7 + 0.6*b) * float64(time.Millisecond) * k.factor(age))
	if k.slowShare == 0 || a < k.slowShare {
		took += time.Duration(float64(k.allDelay) * (0.8 + 0.4*b))
	}
	s.sleep(took + time.Duration(float64(k.routeDelay[route])*(0.8+0.4*b)))
	if work[route].asking {
		if err := s.ask(r.Context()); err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	}
	_, _ = fmt.Fprintln(w, "ok")
}

func (k *knobs) factor(age time.Duration) float64 {
	f := 1.0
	if k.warm > 0 {
		f += k.warm / pow2(age.Seconds()/k.half.Seconds())
	}
	if k.double > 0 {
		f *= pow2(age.Seconds() / k.double.Seconds())
	}
	return f
}

// sleep works for a time, and stops where the world does.
func (s *shop) sleep(d time.Duration) {
	time.Sleep(d)
	s.world.RLock()
	defer s.world.RUnlock()
}

// ask asks the database, with one of the pool's connections.
func (s *shop) ask(ctx context.Context) error {
	select {
	case s.pool <- struct{}{}:
		defer func() { <-s.pool }()
	case <-time.After(15 * time.Second):
		return fmt.Errorf("no connection of the pool became free")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.database.address, nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	return res.Body.Close()
}

// query is the database.
func (s *shop) query(w http.ResponseWriter, _ *http.Request) {
	k, _, a, _ := s.draw()
	time.Sleep(time.Duration((4+4*a)*float64(time.Millisecond)) + time.Duration(float64(k.databaseDelay)*(0.8+0.4*a)))
	_, _ = fmt.Fprintln(w, "rows")
}

// pause stops the world for a time, as garbage collection does.
func (s *shop) pause(d time.Duration) {
	s.world.Lock()
	defer s.world.Unlock()
	time.Sleep(d)
}
