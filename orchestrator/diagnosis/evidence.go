package diagnosis

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Evidence is what is known of one incident, as a bounded list of facts. It
// encodes as JSON. What is not known has no fact: nothing is zero for want of a
// measurement.
type Evidence struct {
	V          int       `json:"v"`
	Service    string    `json:"service"`
	IncidentID string    `json:"incident_id,omitempty"`
	At         time.Time `json:"at"`
	// Recent is how many seconds the figures of "now" cover, at the most.
	Recent float64 `json:"recent_seconds"`
	Facts  []Fact  `json:"facts"`
	// Actions are the names of the catalogue, of which a diagnoser may suggest one.
	Actions []string `json:"actions,omitempty"`
	// Signature is what incidents that look alike have in common.
	Signature string `json:"signature"`
}

// Version is the one of [Evidence] that is made here.
const Version = 1

// Name says what a fact is about.
type Name string

// The names of facts.
const (
	LatencyP50    Name = "latency_p50"    // of now
	LatencyP95    Name = "latency_p95"    // of now
	LatencyMax    Name = "latency_max"    // of now
	LatencyFloor  Name = "latency_floor"  // that the fastest twentieth stays below
	WindowP95     Name = "window_p95"     // of the whole measured window
	FirstByteP95  Name = "first_byte_p95" // of the whole measured window
	SlowShare     Name = "slow_share"     // of requests slower than nearly all usually are
	SlowSpread    Name = "slow_spread"    // (P90 − P10) ÷ P50 of the slow requests alone
	Modes         Name = "latency_modes"  // how many groups the latencies fall into
	ErrorRate     Name = "error_rate"     // of now
	GatewayErrors Name = "gateway_errors" // in the window: no answer of the upstream
	ServerErrors  Name = "server_errors"  // in the window: answers of 500 and above
	ClientErrors  Name = "client_errors"  // in the window: answers of 400 to 499
	Failure       Name = "failure"        // by why the upstream could not be used
	StatusCode    Name = "status"         // by an answer's status
	Offered       Name = "load_offered"   // requests a second that arrive
	Served        Name = "load_served"    // requests a second answered without an error
	InFlight      Name = "in_flight"      // being served
	ClientGone    Name = "client_gone"    // left before their answer, in the window
	ConnectTime   Name = "connect_time"   // to make a connection to the upstream
	Connects      Name = "connects"       // connections made, a second
	RoutesBad     Name = "routes_bad"     // of the routes with enough requests
	RouteFact     Name = "route"          // one route
	OnsetAge      Name = "onset_age"      // since the figures left what is usual
	Pulses        Name = "pulses"         // times that it was bad and well again before
	QueueGrowth   Name = "queue_growth"   // how the requests in flight grow, a second
	WaitGrowth    Name = "wait_growth"    // part of the passing time by which the longest wait grows, tick after tick
	InFlightStep  Name = "in_flight_step" // factor of the requests in flight from the tick before to the newest
	Climb         Name = "climb"          // factor of the P95 from each of the last ticks to the next
	Growth        Name = "growth"         // factor of the P95 since the third bad tick
	Relief        Name = "relief"         // how far the P95 is below its worst
	Ramp          Name = "ramp"           // how much slower it is than at the beginning of a steady rise
	Uptime        Name = "measured_for"   // since measuring began
	TargetFact    Name = "target"         // a target that is not UP
	CheckFact     Name = "check"          // a failed active check
	ChangeFact    Name = "change"         // before the incident
	GateFact      Name = "gate"           // that breaches
	EarlierFact   Name = "earlier"        // incident with the same signature
)

// Unit is what a fact's value is measured in.
type Unit string

// The units.
const (
	Millis    Unit = "ms"
	Seconds   Unit = "s"
	Share     Unit = "share" // 0 to 1
	Count     Unit = "count"
	PerSecond Unit = "per_s"
	Ratio     Unit = "ratio"
)

// Fact is one figure. ID is what answers cite it by.
type Fact struct {
	ID   string `json:"id"`
	Name Name   `json:"name"`
	// Subject is the route, target, status or whatever else it is about. It may
	// have been written by anybody.
	Subject string  `json:"subject,omitempty"`
	Value   float64 `json:"value"`
	Unit    Unit    `json:"unit"`
	// Usual is the same figure before the incident.
	Usual *float64 `json:"usual,omitempty"`
	// Part is the share of all requests that it is about, Errors the share of
	// them that failed; UsualErrors that share before the incident.
	Part        *float64 `json:"part,omitempty"`
	Errors      *float64 `json:"errors,omitempty"`
	UsualErrors *float64 `json:"usual_errors,omitempty"`
	// Bad says that a route is slower or fails more than usual.
	Bad bool `json:"bad,omitempty"`
	// Text is what others wrote: a title, a reason, how it ended.
	Text string `json:"text,omitempty"`
}

// Bounds of what others wrote, in bytes, and of the list.
const (
	maxSubject = 120
	maxText    = 160
	maxFacts   = 96
)

// Find is the first fact of a name, nil when there is none. It is shared and
// must not be written to.
func (e *Evidence) Find(n Name) *Fact {
	if i := slices.IndexFunc(e.Facts, func(f Fact) bool { return f.Name == n }); i >= 0 {
		return &e.Facts[i]
	}
	return nil
}

// All are the facts of a name.
func (e *Evidence) All(n Name) []*Fact {
	var all []*Fact
	for i := range e.Facts {
		if e.Facts[i].Name == n {
			all = append(all, &e.Facts[i])
		}
	}
	return all
}

// Has says whether there is a fact of that id.
func (e *Evidence) Has(id string) bool {
	return slices.ContainsFunc(e.Facts, func(f Fact) bool { return f.ID == id })
}

// Digest is "sha256:" and the sum of the evidence as JSON.
func (e *Evidence) Digest() string {
	data, err := json.Marshal(e)
	if err != nil { // it holds plain values, all finite
		return ""
	}
	return digestOf(data)
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// add appends a fact and gives it its id. What is no number is left out, and
// so is what comes beyond the bound.
func (e *Evidence) add(f Fact) {
	if len(e.Facts) >= maxFacts || math.IsNaN(f.Value) || math.IsInf(f.Value, 0) {
		return
	}
	f.ID = "F" + strconv.Itoa(len(e.Facts)+1)
	f.Value = round(f.Value)
	for _, p := range []**float64{&f.Usual, &f.Part, &f.Errors, &f.UsualErrors} {
		if *p == nil {
			continue
		}
		if v := **p; math.IsNaN(v) || math.IsInf(v, 0) {
			*p = nil
		} else {
			*p = ptr(round(v))
		}
	}
	f.Subject, f.Text = foreign(f.Subject, maxSubject), foreign(f.Text, maxText)
	e.Facts = append(e.Facts, f)
}

// maxForeign is how much of what others wrote is looked at, in bytes.
const maxForeign = 4 << 10

// foreign is what others wrote: made one line that shows what it says before it is
// masked, so that nothing invisible hides a secret, and masked before it is cut, so that
// no half of one is left at the end.
func foreign(s string, limit int) string {
	if s == "" {
		return ""
	}
	return Inert(Mask(plain.Line(s[:min(len(s), maxForeign)], maxForeign)), limit)
}

// round keeps four significant figures: more are noise in a diagnosis.
func round(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return r
}

func ptr[T any](v T) *T { return &v }

// String is the fact in plain words, without its id.
func (f *Fact) String() string {
	var b strings.Builder
	b.WriteString(strings.ReplaceAll(string(f.Name), "_", " "))
	if f.Subject != "" {
		b.WriteString(" " + f.Subject)
	}
	b.WriteString(": " + f.amount(f.Value))
	if f.Usual != nil {
		b.WriteString(", usually " + f.amount(*f.Usual))
	}
	if f.Part != nil {
		b.WriteString(", " + percent(*f.Part) + " of requests")
	}
	if f.Errors != nil {
		b.WriteString(", " + percent(*f.Errors) + " failed")
		if f.UsualErrors != nil {
			b.WriteString(", usually " + percent(*f.UsualErrors))
		}
	}
	if f.Text != "" {
		b.WriteString(" (" + f.Text + ")")
	}
	return b.String()
}

func (f *Fact) amount(v float64) string {
	switch f.Unit {
	case Millis:
		return figure(v) + " ms"
	case Seconds:
		return brief(v)
	case Share:
		return percent(v)
	case PerSecond:
		return figure(v) + " a second"
	case Ratio:
		return figure(v) + " times"
	}
	return figure(v)
}

// figure prints three significant figures, and none dropped before the point.
func figure(v float64) string {
	if math.Abs(v) >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func percent(share float64) string { return figure(share*100) + " %" }

// brief prints seconds as people say them.
func brief(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.0f s", seconds)
	case seconds < 2*60*60:
		return fmt.Sprintf("%.0f min", seconds/60)
	case seconds < 2*24*60*60:
		return fmt.Sprintf("%.0f h", seconds/3600)
	}
	return fmt.Sprintf("%.0f days", seconds/86400)
}
