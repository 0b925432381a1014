package docket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// paper is a ledger in memory that can be made to fail. Safe for concurrent use.
type paper struct {
	mu      sync.Mutex
	leaves  [][]byte
	blobs   map[[32]byte][]byte
	calls   int          // of Append
	fault   func() fault // what befalls the next append; nil is nothing
	broken  error        // what Err says
	damaged error        // what Entries says
}

// A fault is what befalls one append.
type fault struct {
	err     error
	written bool          // all the same
	hang    chan struct{} // the append waits for this, or for its context
}

func newPaper(leaves ...string) *paper {
	p := &paper{blobs: map[[32]byte][]byte{}}
	p.add(`{"v":1,"kind":"ledger.created","time":"1999-12-31T03:00:00Z","format":"countersign-ledger/1"}`)
	p.add(leaves...)
	return p
}

// add appends leaves of others.
func (p *paper) add(leaves ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, leaf := range leaves {
		p.leaves = append(p.leaves, []byte(leaf))
	}
}

// befall has a fault befall every append from now on.
func (p *paper) befall(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = func() fault { return f }
}

func (p *paper) set(field *error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*field = err
}

func (p *paper) Append(ctx context.Context, entries []ledger.Entry) ([]uint64, error) {
	p.mu.Lock()
	p.calls++
	var f fault
	if p.fault != nil {
		f = p.fault()
	}
	p.mu.Unlock()
	if f.hang != nil {
		select {
		case <-f.hang:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ledger.ErrUncertain, ctx.Err())
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.err != nil && !f.written {
		return nil, f.err
	}
	var indices []uint64
	for _, e := range entries {
		indices = append(indices, uint64(len(p.leaves)))
		p.leaves = append(p.leaves, bytes.Clone(e.Leaf))
		for _, blob := range e.Blobs {
			p.blobs[sha256.Sum256(blob)] = bytes.Clone(blob)
		}
	}
	return indices, f.err
}

func (p *paper) Entries(from, to uint64) iter.Seq2[ledger.Record, error] {
	p.mu.Lock()
	leaves, damaged := slices.Clone(p.leaves), p.damaged
	p.mu.Unlock()
	return func(yield func(ledger.Record, error) bool) {
		if damaged != nil {
			yield(ledger.Record{}, damaged)
			return
		}
		for i := from; i < to; i++ {
			if !yield(ledger.Record{Index: i, Leaf: leaves[i]}, nil) {
				return
			}
		}
	}
}

func (p *paper) Checkpoint() ledger.Checkpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ledger.Checkpoint{Size: uint64(len(p.leaves))}
}

func (p *paper) Blob(sum [32]byte) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if blob, ok := p.blobs[sum]; ok {
		return blob, nil
	}
	return nil, ledger.ErrNotFound
}

func (p *paper) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// entries are those of ours.
func (p *paper) entries(t testing.TB) []incident.Indexed {
	t.Helper()
	return entriesOf(t, p)
}

func entriesOf(t testing.TB, l Ledger) []incident.Indexed {
	t.Helper()
	var list []incident.Indexed
	for r, err := range l.Entries(0, l.Checkpoint().Size) {
		if err != nil {
			t.Fatal(err)
		}
		e, ours, err := incident.ParseEntry(r.Leaf)
		if err != nil {
			t.Fatalf("entry %d: %v", r.Index, err)
		}
		if ours {
			list = append(list, incident.Indexed{Index: r.Index, Entry: e})
		}
	}
	return list
}

// kinds are those of our entries, in a line.
func kinds(list []incident.Indexed) string {
	var names []string
	for _, e := range list {
		name := e.Entry.Kind
		if event, ok := e.Entry.Metadata["event"].(string); ok {
			name += "/" + event
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// proper reports what must not be in a ledger: what the audit of a ledger finds,
// an entry out of time by any bit, or one whose evidence is not there.
func proper(t testing.TB, l Ledger) {
	t.Helper()
	check := incident.NewCheck(incident.CheckOptions{MaxOpen: 1000 * time.Hour})
	for r, err := range l.Entries(0, l.Checkpoint().Size) {
		if err == nil {
			err = check.Entry(r.Index, r.Leaf)
		}
		if err != nil {
			t.Errorf("entry %d: %v: %s", r.Index, err, r.Leaf)
		}
	}
	if err := check.End(); err != nil {
		t.Error(err)
	}
	var last time.Time
	for _, e := range entriesOf(t, l) {
		if e.Entry.Time.Before(last) {
			t.Errorf("entry %d is of %s, after one of %s", e.Index, e.Entry.Time, last)
		}
		last = e.Entry.Time
		for _, ev := range e.Entry.Evidence {
			sum, err := hex.DecodeString(ev.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			if blob, err := l.Blob([32]byte(sum)); err != nil || len(blob) != ev.Len {
				t.Errorf("entry %d: evidence %s: %d bytes, %v", e.Index, ev.Name, len(blob), err)
			}
		}
	}
}

// journalled is what an operator would have read.
type journalled struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journalled) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journalled) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// scene is a docket that runs, inside a bubble of synctest.
type scene struct {
	*Docket
	t      *testing.T
	ledger Ledger
	log    *journalled
	cancel context.CancelFunc
	done   chan error
}

var inForce = policy.Default()

func settings() Config {
	return Config{
		Tenants:  []Tenant{{ID: "payments", Service: "payments-api"}, {ID: "orders", Service: "orders-api"}},
		Instance: "pod-1", Policy: inForce,
	}
}

func start(t *testing.T, l Ledger, cfg Config) *scene {
	t.Helper()
	s := &scene{t: t, ledger: l, log: &journalled{}, done: make(chan error, 1)}
	cfg.Log = slog.New(slog.NewTextHandler(s.log, nil))
	s.Docket = New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.done <- s.Run(ctx, l) }()
	synctest.Wait()
	return s
}

// stop ends the run, which must be without an error.
func (s *scene) stop() {
	s.t.Helper()
	s.cancel()
	if err := <-s.done; err != nil {
		s.t.Error(err)
	}
}

// sees has observations of tenants looked at, a tick after the last.
func (s *scene) sees(observations ...incident.Observation) {
	s.t.Helper()
	time.Sleep(5 * time.Second)
	for _, o := range observations {
		o.Input.Time = time.Now()
		s.Submit(o)
	}
	synctest.Wait()
}

func (s *scene) view(tenant string) View {
	s.t.Helper()
	v, ok := s.View(tenant)
	if !ok {
		s.t.Fatalf("there is no view of %q", tenant)
	}
	return v
}

// stage is that of the open incident, empty when there is none.
func (s *scene) stage(tenant string) string {
	if i := s.view(tenant).Incident; i != nil {
		return i.Stage
	}
	return ""
}

// breached, between and calm are observations of a service that is ill, of one
// that is neither ill nor well, and of one that is well.
func breached(tenant string) incident.Observation {
	o := between(tenant)
	o.Decision.Breached = true
	o.Decision.Why = "the error rate is 12 %, above 5 %"
	o.Decision.Breaches = []policy.Breach{{Key: "absolute_threshold", Gate: "absolute_threshold", Severity: "critical", Message: "errors", Reason: "12 % is above 5 %"}}
	return o
}

func between(tenant string) incident.Observation {
	return incident.Observation{
		Tenant: tenant, Service: tenant + "-api", Instance: "pod-1", Policy: inForce,
		After: policy.State{Targets: map[string]policy.Target{}},
	}
}

func calm(tenant string) incident.Observation {
	o := between(tenant)
	o.Decision.Recovered = true
	o.Decision.Why = "the score is 98, above 70"
	return o
}

// target adds a target's state to an observation.
func target(o incident.Observation, name string, state policy.TargetState) incident.Observation {
	o.After.Targets[name] = policy.Target{State: state, ConsecutiveFailures: 2, Reason: "connection refused"}
	return o
}

func leaf(t testing.TB, e incident.Entry) string {
	t.Helper()
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
