package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Faults are what is wrong with the API at the moment; the zero value is
// nothing.
type Faults struct {
	// LatencyMS is added to every answer, 0 to 60000.
	LatencyMS int `json:"latency_ms"`
	// ErrorRate is the share of requests answered at once with a 500, 0 to 1.
	ErrorRate float64 `json:"error_rate"`
	// Hang leaves requests without an answer until it is switched off.
	Hang bool `json:"hang"`
	// Die closes the listener and every connection; switched off again, the
	// API listens anew on the same port.
	Die bool `json:"die"`
}

func (f Faults) validate() error {
	if f.LatencyMS < 0 || f.LatencyMS > 60000 {
		return fmt.Errorf("latency_ms is %d: it must lie between 0 and 60000", f.LatencyMS)
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
	a.faults = f
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
	case "error_rate":
		f.ErrorRate, err = strconv.ParseFloat(value, 64)
	case "hang":
		f.Hang, err = strconv.ParseBool(value)
	case "die":
		f.Die, err = strconv.ParseBool(value)
	default:
		return fmt.Errorf("there is no knob %q: the knobs are latency_ms, error_rate, hang, die", key)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be %q", key, value)
	}
	return nil
}
