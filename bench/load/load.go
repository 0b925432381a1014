// Package load sends HTTP/1.1 requests to an address and measures the answers: at a fixed rate (open loop), or as fast
// as they are answered (closed loop).
//
// In the open loop every request has an intended time, t₀ + i/rate, fixed before the first is sent, and its latency
// counts from there. A server that stands still for a second is then seen by all the requests that were due in that
// second, not only by the few that a waiting client happened to have sent: what Gil Tene called coordinated omission
// does not arise. What the generator itself is late by is kept beside it, in [Result.GeneratorLag].
//
// One locked thread drives all connections by epoll; between two requests it sleeps by a timer and spins for the last
// microseconds. Nothing is allocated while it runs. It needs Linux.
package load

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Request is what is sent. It is made to bytes once, before the first is sent.
type Request struct {
	Method string   // GET if empty
	Path   string   // with its query; / if empty
	Header []string // lines, "Name: value"; Host is the address unless it is among them
	Body   []byte   // with its Content-Length
}

// Plan is one run.
type Plan struct {
	Addr           string    // HOST:PORT
	Requests       []Request // sent in turn, by each thread
	Connections    int       // from 1
	NewConnections bool      // one for each request, closed after its answer; otherwise they are kept
	Rate           float64   // requests a second, open loop; 0 is the closed loop: the next request when an answer is there
	For            time.Duration
	Warm           time.Duration // before it, in the same way and not counted
	Grace          time.Duration // how long after For answers are waited for; 5 s if 0
	Threads        int           // 1 if 0; connections and rate are shared among them
}

// Result is what a run has seen. Every request that was due within Plan.For is in Done or Failed.
type Result struct {
	Warmed   uint64 // sent while warming up, and in no other count
	Sent     uint64 // requests begun
	Done     uint64 // of them, answered completely and with a status below 400
	Failed   uint64 // the others, those that could not be sent among them
	Late     uint64 // begun more than a millisecond after the intended time, as the connections or the generator were busy; open loop
	Answered uint64 // answers as in Done that came within Plan.For, whenever their requests were begun
	Bytes    uint64 // of the answers in Done and Failed, heads included
	For      time.Duration
	Elapsed  time.Duration // until the last answer, at least For

	// Latency is in nanoseconds, up to an hour, with three significant figures: until the last byte of the answer, from
	// the intended time in the open loop and from sending in the closed one, connecting included where it was needed.
	// It has those in Done, and those without an answer at the end at their age then.
	Latency *hdrhistogram.Histogram
	// GeneratorLag is how long after its intended time the generator got to a request, in nanoseconds; open loop.
	GeneratorLag *hdrhistogram.Histogram
	// Errors has how many failed in which way.
	Errors map[string]uint64
}

// Throughput is the answers a second.
func (r Result) Throughput() float64 {
	if r.For <= 0 {
		return 0
	}
	return float64(r.Answered) / r.For.Seconds()
}

// Quantile is the latency of rank ⌈q·n⌉ of n in a histogram of nanoseconds, q from 0 to 1; 0 of an empty one.
func Quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	n := float64(h.TotalCount())
	if n == 0 {
		return 0
	}
	rank := min(max(math.Ceil(q*n), 1), n)
	return time.Duration(h.ValueAtPercentile(100 * rank / n))
}

// late is where [Result.Late] begins.
const late = time.Millisecond

// highest is the longest latency that is told from a longer one.
const highest = int64(time.Hour)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, highest, 3) }

func newResult(p Plan) Result {
	return Result{For: p.For, Latency: newHistogram(), GeneratorLag: newHistogram(), Errors: map[string]uint64{}}
}

// add joins the results of two threads of one run.
func (r *Result) add(o Result) {
	r.Warmed += o.Warmed
	r.Sent += o.Sent
	r.Done += o.Done
	r.Failed += o.Failed
	r.Late += o.Late
	r.Answered += o.Answered
	r.Bytes += o.Bytes
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	r.Latency.Merge(o.Latency)
	r.GeneratorLag.Merge(o.GeneratorLag)
	for what, n := range o.Errors {
		r.Errors[what] += n
	}
}

// complete gives a plan its defaults, and says what is wrong with it.
func (p Plan) complete() (Plan, error) {
	if p.Threads == 0 {
		p.Threads = 1
	}
	if p.Grace == 0 {
		p.Grace = 5 * time.Second
	}
	switch {
	case len(p.Requests) == 0:
		return p, errors.New("there is no request to send: give at least one")
	case p.Connections < 1 || p.Connections > 1<<16:
		return p, fmt.Errorf("%d connections are not possible: give 1 to 65536", p.Connections)
	case p.Threads < 1 || p.Threads > p.Connections:
		return p, fmt.Errorf("%d threads cannot share %d connections: give from 1 to as many", p.Threads, p.Connections)
	case math.IsNaN(p.Rate) || p.Rate < 0 || p.Rate > 1e7:
		return p, fmt.Errorf("%v requests a second are not possible: give up to 10 million, or 0 for as many as are answered", p.Rate)
	case p.For <= 0 || p.Warm < 0 || p.Grace < 0:
		return p, errors.New("a run lasts longer than 0 s, and its warming up and grace not less")
	}
	return p, nil
}

// message is a request as it goes over the wire.
type message struct {
	bytes []byte
	head  bool // HEAD: the answer has no body
}

func messages(p Plan) ([]message, error) {
	var all []message
	for _, r := range p.Requests {
		m, err := r.message(p.Addr, p.NewConnections)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

func (r Request) message(addr string, once bool) (message, error) {
	if r.Method == "" {
		r.Method = "GET"
	}
	if r.Path == "" {
		r.Path = "/"
	}
	if strings.ContainsAny(r.Method+r.Path, " \t\r\n") || r.Path[0] != '/' && r.Path != "*" {
		return message{}, fmt.Errorf("%q %q is not a request: the method is one word, and the path begins with / and has no space", r.Method, r.Path)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.Method, r.Path)
	given := map[string]bool{}
	for _, line := range r.Header {
		name, _, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(line, "\r\n") || strings.ContainsAny(name, " \t") {
			return message{}, fmt.Errorf("%q is not a header: write it Name: value", line)
		}
		given[strings.ToLower(name)] = true
		b.WriteString(line + "\r\n")
	}
	if given["content-length"] || given["transfer-encoding"] {
		return message{}, errors.New("Content-Length and Transfer-Encoding are for the generator to set: leave them out")
	}
	if !given["host"] {
		b.WriteString("Host: " + addr + "\r\n")
	}
	if once && !given["connection"] {
		b.WriteString("Connection: close\r\n")
	}
	if len(r.Body) > 0 || r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	b.WriteString("\r\n")
	b.Write(r.Body)
	return message{bytes: b.Bytes(), head: r.Method == "HEAD"}, nil
}

// resolve finds the address that is connected to.
func resolve(addr string) (*net.TCPAddr, error) {
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot load %q: %w; give HOST:PORT", addr, err)
	}
	return tcp, nil
}
