package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/countersign-dev/countersign/bench/load"
	"github.com/countersign-dev/countersign/bench/peer"
)

// A round is carried out by a process of its own, so that it begins with the same heap each time, what it uses is
// apart, and it can be in another network namespace.

// outcome is what that process says.
type outcome struct {
	Requests uint64 // answered or not, those of the warming up among them
	Done     uint64
	Failed   uint64
	Late     uint64
	Errors   map[string]uint64
	Answers  float64 // a second
	Latency  []byte  // HdrHistogram V2, nanoseconds
	Lag      []byte

	generator time.Duration // processor time of the process
}

// carryOutRound is that process: it reads a plan and writes what came of it.
func carryOutRound(ctx context.Context, in io.Reader, out io.Writer) error {
	var p load.Plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return fmt.Errorf("cannot read the plan of a round: %w", err)
	}
	r, err := load.Run(ctx, p)
	if err != nil {
		return err
	}
	o := outcome{Requests: r.Warmed + r.Sent, Done: r.Done, Failed: r.Failed, Late: r.Late, Errors: r.Errors, Answers: r.Throughput()}
	if o.Latency, err = r.Latency.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err != nil {
		return err
	}
	if o.Lag, err = r.GeneratorLag.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(o)
}

// send has a process carry the plan out, inside a namespace.
func send(ctx context.Context, inside *peer.Namespace, p load.Plan) (o outcome, err error) {
	self, err := os.Executable()
	if err != nil {
		return o, err
	}
	plan, err := json.Marshal(p)
	if err != nil {
		return o, err
	}
	var out, errOut bytes.Buffer
	cmd := inside.Command(ctx, self, roundWord)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(plan), &out, &errOut
	if err := cmd.Run(); err != nil {
		return o, fmt.Errorf("a round could not be carried out: %w: %s", err, bytes.TrimSpace(errOut.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		return o, fmt.Errorf("a round said what cannot be read: %w", err)
	}
	o.generator = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if o.Done == 0 {
		return o, fmt.Errorf("not one request of %d was answered: %v", o.Requests, o.Errors)
	}
	return o, nil
}

// roundWord is the argument that makes this program carry out a round.
const roundWord = "round"

// decode reads a histogram.
func decode(encoded []byte) (*hdrhistogram.Histogram, error) {
	h, err := hdrhistogram.Decode(encoded)
	if err == nil && h == nil {
		err = errors.New("a histogram is empty")
	}
	return h, err
}
