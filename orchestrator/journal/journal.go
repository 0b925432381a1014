package journal

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
)

// farewell is the time the last entry has to become durable at the end.
const farewell = 2 * time.Second

// Config says which ledger is kept and who keeps it.
type Config struct {
	Ledger ledger.Options
	// Tenant, Service and Instance name the watched service's tenant, the API and
	// this sidecar, Version the binary.
	Tenant, Service, Instance, Version string
	// Policy decides; it is named in every entry.
	Policy health.Policy
	// Docket records decisions while the ledger is open; nil when there are none.
	Docket *docket.Docket
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// State is how the ledger does.
type State string

// The states. A ledger that failed stays so until the sidecar starts again.
const (
	Checking State = "checking" // it is being read and compared with its anchor
	Open     State = "open"
	Failed   State = "failed"
	Closed   State = "closed"
)

// Report is the ledger's state for people and machines.
type Report struct {
	State State `json:"state"`
	// Directory is where it is kept.
	Directory string `json:"directory"`
	// Origin, Key (the verifier key), Size and Root are set while it is open.
	Origin string `json:"origin,omitempty"`
	Key    string `json:"key,omitempty"`
	Size   uint64 `json:"size"`
	Root   string `json:"root,omitempty"`
	// WitnessedSize is the size of the last checkpoint that witnesses cosigned.
	WitnessedSize uint64 `json:"witnessed_size,omitempty"`
	// Problem says why it failed.
	Problem string `json:"problem,omitempty"`
}

// Journal is one ledger and the state it is in. Its methods are safe for
// concurrent use, except that Run is called once.
type Journal struct {
	cfg Config

	mu      sync.Mutex
	state   State
	log     *ledger.Log // set while Open
	problem error       // set when Failed
}

// New finds what an operator got wrong: a key, a name, a directory in which
// no ledger can be made or that another process holds. Whatever is wrong with
// a ledger that is there is found by Run, and stops nothing.
func New(cfg Config) (*Journal, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Ledger.Log, cfg.Ledger.Now = cfg.Log, cfg.Now
	if err := ledger.Check(cfg.Ledger); err != nil && !damaged(err) {
		return nil, err
	}
	return &Journal{cfg: cfg, state: Checking}, nil
}

func damaged(err error) bool {
	_, ok := errors.AsType[*ledger.IntegrityError](err)
	return ok
}

// Run opens the ledger, records that the sidecar started, keeps it open until
// ctx ends, and records that too. Its error is why the ledger could not be
// opened or closed.
func (j *Journal) Run(ctx context.Context) error {
	log, err := ledger.Open(ctx, j.cfg.Ledger)
	if err != nil {
		j.fail(err)
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("the ledger in %s is not kept: %w", j.cfg.Ledger.Dir, err)
	}
	j.set(Open, log)
	j.record(ctx, log, "sidecar.started")
	if j.cfg.Docket != nil {
		if err := j.cfg.Docket.Run(ctx, log); err != nil {
			j.cfg.Log.Error("decisions are no longer recorded, and nothing that depends on them happens; traffic goes on", "error", err)
		}
	}
	<-ctx.Done()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	j.record(last, log, "sidecar.stopped")
	j.set(Closed, nil)
	if err := log.Close(); err != nil {
		return fmt.Errorf("the ledger in %s did not close cleanly: %w", j.cfg.Ledger.Dir, err)
	}
	return nil
}

func (j *Journal) set(state State, log *ledger.Log) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state, j.log = state, log
}

func (j *Journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state, j.problem = Failed, err
}

// entry is a step of the sidecar itself.
type entry struct {
	V             int       `json:"v"`
	Kind          string    `json:"kind"`
	Time          time.Time `json:"time"`
	TenantID      string    `json:"tenant_id"`
	Service       string    `json:"service"`
	Instance      string    `json:"instance"`
	Actor         string    `json:"actor"`
	PolicyVersion string    `json:"policy_version"`
	PolicyDigest  string    `json:"policy_digest"`
	Metadata      metadata  `json:"metadata"`
}

type metadata struct {
	Version string `json:"version"`
}

// record appends a step of the sidecar's own life. That it could not is for
// the operator to know; nothing depends on it.
func (j *Journal) record(ctx context.Context, log *ledger.Log, kind string) {
	leaf, err := json.Marshal(entry{
		V: 1, Kind: kind, Time: j.time(log), TenantID: j.cfg.Tenant, Service: j.cfg.Service, Instance: j.cfg.Instance, Actor: "system",
		PolicyVersion: j.cfg.Policy.Version, PolicyDigest: j.cfg.Policy.Digest, Metadata: metadata{Version: j.cfg.Version},
	})
	if err == nil {
		_, err = log.Append(ctx, []ledger.Entry{{Leaf: leaf}})
	}
	if err != nil {
		j.cfg.Log.Error("cannot record a step in the ledger; traffic goes on", "kind", kind, "error", err)
	}
}

// lookBack is how many entries may follow the latest: such as rotations of the
// key, by a command that has only the clock to go by.
const lookBack = 16

// time is now, or the time of the latest entry where the clock has gone back
// behind it: what comes later in the ledger is never earlier.
func (j *Journal) time(log *ledger.Log) time.Time {
	latest := j.cfg.Now().UTC()
	size := log.Checkpoint().Size
	for i := size; i > 0 && size-i < lookBack; i-- {
		leaf, err := log.Entry(i - 1)
		var e struct{ Time time.Time }
		if err == nil && json.Unmarshal(leaf, &e) == nil && e.Time.After(latest) {
			latest = e.Time
		}
	}
	return latest
}

// opened is the ledger while it is open, else nil and why it is not.
func (j *Journal) opened() (*ledger.Log, State, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.log == nil {
		return nil, j.state, j.problem
	}
	if err := j.log.Err(); err != nil {
		return j.log, Failed, err
	}
	return j.log, j.state, nil
}

// Report says how the ledger does. It does not wait.
func (j *Journal) Report() Report {
	log, state, err := j.opened()
	r := Report{State: state, Directory: j.cfg.Ledger.Dir}
	if err != nil {
		r.Problem = err.Error()
	}
	if log != nil {
		c := log.Checkpoint()
		r.Origin, r.Key, r.Size, r.Root = c.Origin, log.VerifierKey(), c.Size, base64.StdEncoding.EncodeToString(c.Root[:])
		if w, ok := log.Witnessed(); ok {
			r.WitnessedSize = w.Size
		}
	}
	return r
}

// Head is what the health document says of the ledger: nil while it is not
// open, with the problem when it has failed. It does not wait.
func (j *Journal) Head() (*health.Ledger, string) {
	r := j.Report()
	if r.State != Open {
		return nil, r.Problem
	}
	return &health.Ledger{Size: r.Size, Root: r.Root}, ""
}

// Entries reads the steps of incidents, targets and shadow periods, all of them
// in order, as of the checkpoint that it returns. It fails while the ledger is
// not open; that of a single entry, or the end of ctx, ends the sequence.
func (j *Journal) Entries(ctx context.Context) (ledger.Checkpoint, iter.Seq2[incident.Indexed, error], error) {
	log, state, err := j.opened()
	switch {
	case log == nil && err != nil:
		return ledger.Checkpoint{}, nil, err
	case log == nil:
		return ledger.Checkpoint{}, nil, fmt.Errorf("%w: the ledger is %s", docket.ErrNotReady, state)
	}
	head := log.Checkpoint()
	return head, func(yield func(incident.Indexed, error) bool) {
		for record, err := range log.Entries(0, head.Size) {
			if err == nil {
				err = ctx.Err()
			}
			var e incident.Entry
			ours := false
			if err == nil {
				e, ours, err = incident.ParseEntry(record.Leaf)
			}
			if err != nil {
				yield(incident.Indexed{}, fmt.Errorf("entry %d: %w", record.Index, err))
				return
			}
			if ours && !yield(incident.Indexed{Index: record.Index, Entry: e}, nil) {
				return
			}
		}
	}, nil
}

// ServeHTTP answers the tlog-tiles read API while the ledger is open, and 503
// with the reason otherwise. What was acknowledged before a failure is still
// answered.
func (j *Journal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	log, state, err := j.opened()
	if log != nil {
		log.Handler().ServeHTTP(w, r)
		return
	}
	if err == nil {
		err = errors.New("the ledger is " + string(state))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusServiceUnavailable)
	// A failed write means that the client is gone.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
