// Command instructions does one of the sidecar's operations a number of times, for
// callgrind to count. Without arguments it says which operations there are.
package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// operations make what is to be repeated; it is given the number of the repetition.
var operations = map[string]func() func(int){
	"recording":       recording,
	"route-collapsed": func() func(int) { return route(nil) },
	"route-templated": func() func(int) {
		return route([]string{"GET /users", "GET /users/{id}/orders/{order}", "/files/{path...}"})
	},
	"sealing-300-requests": sealing,
	"p95":                  quantile,
	"judging":              judging,
	"deciding":             deciding,
}

func main() {
	if len(os.Args) != 3 {
		for _, name := range slices.Sorted(maps.Keys(operations)) {
			fmt.Println(name)
		}
		return
	}
	times, err := strconv.Atoi(os.Args[2])
	prepare := operations[os.Args[1]]
	if err != nil || prepare == nil {
		fmt.Fprintln(os.Stderr, "instructions: the arguments are an operation and how often to do it")
		os.Exit(2)
	}
	do := prepare()
	for i := range times {
		do(i)
	}
}

// clock is the recorders' time.
var clock int64

func recorder(templates []string) *histogram.Recorder {
	c := histogram.Config{Now: func() int64 { return clock }}
	if templates != nil {
		t, err := histogram.NewTemplates(templates)
		if err != nil {
			panic(err)
		}
		c.Templates = t
	}
	r, err := histogram.NewRecorder(c)
	if err != nil {
		panic(err)
	}
	return r
}

// recording is a request's start and end, without the clock.
func recording() func(int) {
	lane := recorder(nil).Lane()
	return func(i int) { finish(lane, 3, int64(2e6+i%1000*1e3)) }
}

func finish(lane *histogram.Lane, route histogram.Route, duration int64) {
	lane.Start(route, 0)
	lane.Finish(histogram.Success, duration*9/10, duration)
}

func route(templates []string) func(int) {
	r := recorder(templates)
	method, target := []byte("GET"), []byte("/users/42/orders/1337?expand=items")
	return func(int) { r.Route(method, target) }
}

// busy is a Recorder whose window is full, and its snapshot.
func busy() (*histogram.Recorder, *histogram.Snapshot) {
	r := recorder(nil)
	lane := r.Lane()
	for range 60 {
		second(r, lane)
	}
	return r, r.Snapshot()
}

var random = rand.New(rand.NewPCG(1, 2))

// second is one with 300 requests on three routes.
func second(r *histogram.Recorder, lane *histogram.Lane) {
	for i := range 300 {
		finish(lane, histogram.Route(i%3), 1+int64(5e6*random.ExpFloat64()))
	}
	clock += int64(time.Second)
	r.Seal(clock)
}

func sealing() func(int) {
	r, _ := busy()
	lane := r.Lane()
	return func(i int) {
		if i%10 == 0 {
			second(r, lane)
		}
	}
}

func quantile() func(int) {
	_, s := busy()
	return func(int) { s.Overall.Durations.Quantile(0.95) }
}

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// usual is what a service's baseline is full of.
func usual(p health.Params) []float64 {
	var ms []float64
	for i := range p.MaxBaselineTicks {
		ms = append(ms, 10+float64(i%7))
	}
	return ms
}

func judging() func(int) {
	_, s := busy()
	p := health.DefaultParams()
	state := health.State{BaselineMS: usual(p)}
	return func(int) { health.Judge(state, health.Measure(noon, s, s), p) }
}

func deciding() func(int) {
	_, s := busy()
	p := policy.Default()
	state := policy.State{At: noon.Add(-5 * time.Second), Health: health.State{BaselineMS: usual(p.Health)}}
	in := policy.Input{Time: noon, Measurement: health.Measure(noon, s, s)}
	return func(int) { policy.Decide(state, in, p) }
}
