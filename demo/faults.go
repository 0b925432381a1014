package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// Faults are what is wrong with the API at the moment; the zero value is
// nothing.
type Faults struct {
	// LatencyMS is added to every answer, 0 to 60000.
	LatencyMS int `json:"latency_ms"`
	// RampMS is added too, for every second since it was set, up to 60000 in all.
	RampMS int `json:"ramp_ms"`
	// ErrorRate is the share of requests answered at once with a 500, 0 to 1.
	ErrorRate float64 `json:"error_rate"`
	// FlapSeconds makes every request fail for so long, then none for as long, and
	// so on, 0 to 3600.
	FlapSeconds int `json:"flap_s"`
	// Hang leaves requests without an answer until it is switched off.
	Hang bool `json:"hang"`
	// Die closes the listener and every connection; switched off again, the
	// API listens anew on the same port.
	Die bool `json:"die"`
}

// maxLatencyMS is the most that faults add to an answer.
const maxLatencyMS = 60000

// latency is what is added to an answer when the faults are since old.
func (f Faults) latency(since time.Duration) time.Duration {
	ramp := float64(f.RampMS) * since.Seconds()
	return time.Duration(min(float64(f.LatencyMS)+ramp, maxLatencyMS)) * time.Millisecond
}

// flapped says whether the faults, since old, are in a time of failures.
func (f Faults) flapped(since time.Duration) bool {
	period := time.Duration(f.FlapSeconds) * time.Second
	return period > 0 && since/period%2 == 0
}

func (f Faults) validate() error {
	for _, knob := range []struct {
		name       string
		value, max int
	}{{"latency_ms", f.LatencyMS, maxLatencyMS}, {"ramp_ms", f.RampMS, maxLatencyMS}, {"flap_s", f.FlapSeconds, 3600}} {
		if knob.value < 0 || knob.value > knob.max {
			return fmt.Errorf("%s is %d: it must lie between 0 and %d", knob.name, knob.value, knob.max)
		}
	}
	if !(f.ErrorRate >= 0 && f.ErrorRate <= 1) {
		return fmt.Errorf("error_rate is %v: it must lie between 0 and 1", f.ErrorRate)
	}
	return nil
}

// Faults returns what is wrong at the moment.
func (a *API) Faults() Faults {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.faults
}

// SetFaults makes f true, from the next request on. Requests that hang
// already go on when Hang is switched off.
func (a *API) SetFaults(f Faults) error {
	if err := f.validate(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errors.New("the sample API is closed")
	}
	switch {
	case f.Die:
		a.down()
	case a.listener == nil:
		if err := a.up(); err != nil {
			return err
		}
	}
	switch {
	case f.Hang && a.unhang == nil:
		a.unhang = make(chan struct{})
	case !f.Hang && a.unhang != nil:
		close(a.unhang)
		a.unhang = nil
	}
	a.faults, a.since = f, time.Now()
	return nil
}

// change applies knobs to f: a JSON object in body, then the query's
// parameters. What neither mentions stays as it is.
func (f Faults) change(body []byte, query func(func(key, value string))) (Faults, error) {
	if body = bytes.TrimSpace(body); len(body) > 0 {
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&f); err != nil {
			return f, fmt.Errorf("the body must be like {\"latency_ms\": 800}: %w", err)
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return f, errors.New("the body must be one JSON object")
		}
	}
	var err error
	query(func(key, value string) {
		if e := f.knob(key, value); e != nil && err == nil {
			err = e
		}
	})
	return f, err
}

func (f *Faults) knob(key, value string) (err error) {
	switch key {
	case "latency_ms":
		f.LatencyMS, err = strconv.Atoi(value)
	case "ramp_ms":
		f.RampMS, err = strconv.Atoi(value)
	case "flap_s":
		f.FlapSeconds, err = strconv.Atoi(value)
	case "error_rate":
		f.ErrorRate, err = strconv.ParseFloat(value, 64)
	case "hang":
		f.Hang, err = strconv.ParseBool(value)
	case "die":
		f.Die, err = strconv.ParseBool(value)
	default:
		return fmt.Errorf("there is no knob %q: the knobs are latency_ms, ramp_ms, error_rate, flap_s, hang, die", key)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be %q", key, value)
	}
	return nil
}
