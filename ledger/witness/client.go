package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/roots"
)

// How a client behaves towards witnesses.
const (
	requestTimeout = 10 * time.Second
	roundPause     = time.Second // at least, from one round to the next
	firstBackoff   = time.Second
	lastBackoff    = 5 * time.Minute
)

// Prover gives the proofs that witnesses ask for.
type Prover interface {
	// ProveConsistency proves that the log at size begins with the log at
	// old, for 0 < old < size, as RFC 6962, section 2.1.2 has it.
	ProveConsistency(old, size uint64) ([][32]byte, error)
}

// Config is what a client needs.
type Config struct {
	Policy *Policy
	Prover Prover
	// Cosigned receives a checkpoint of the given size with the cosignatures
	// that make up the policy's quorum, and the same again with each one that
	// joins them later. It is called from one goroutine, which waits for it.
	Cosigned func(size uint64, checkpoint []byte)
	Log      *slog.Logger
	// Transport carries the requests; http.DefaultTransport when nil.
	Transport http.RoundTripper
}

// Client brings a log's checkpoints to the witnesses of a policy and collects
// their cosignatures. It goes in rounds, so that the witnesses cosign the same
// checkpoints however fast the log grows: each round is about the checkpoint
// that was the latest when it began, and a witness that fails is left out of
// the rounds until it answers again.
type Client struct {
	config    Config
	witnesses []*submitter
	latest    atomic.Pointer[checkpoint]
	fresh     chan struct{} // there is a checkpoint that no round was about
}

// checkpoint is a signed checkpoint that the log has shown.
type checkpoint struct {
	size   uint64
	signed []byte
}

// NewClient returns a client of those witnesses of the policy that have a URL.
// Without any, or when they cannot make up the quorum, it is an error. Nothing
// happens before Run.
func NewClient(config Config) (*Client, error) {
	c := &Client{config: config, fresh: make(chan struct{}, 1)}
	if config.Transport == nil {
		config.Transport = roots.Before(http.DefaultTransport)
	}
	web := &http.Client{
		Transport:     config.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var names []string
	for i, w := range config.Policy.Witnesses {
		if w.URL == "" {
			continue
		}
		endpoint, err := submissionURL(w.URL)
		if err != nil {
			return nil, fmt.Errorf("the witness %s of the policy: %w", w.Name, err)
		}
		names = append(names, w.Name)
		c.witnesses = append(c.witnesses, &submitter{
			client: c, name: w.Name, index: len(c.witnesses), key: config.Policy.keys[i],
			endpoint: endpoint, web: web, tasks: make(chan *checkpoint, 1),
		})
	}
	if len(names) == 0 {
		return nil, errors.New("no witness of the policy has a URL: write it after the witness's key")
	}
	if !config.Policy.Quorate(names) {
		return nil, fmt.Errorf("the policy's quorum cannot be reached by the witnesses that have a URL (%s): give the others one", strings.Join(names, ", "))
	}
	return c, nil
}

func submissionURL(prefix string) (string, error) {
	u, err := url.Parse(prefix)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%q is not a URL that begins with http:// or https://", prefix)
	}
	if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("%q must have only scheme, host and path", u.Redacted())
	}
	return strings.TrimSuffix(u.String(), "/") + "/add-checkpoint", nil
}

// Update tells of a new signed checkpoint, which is larger than those before.
// It never blocks; only the latest one counts. Safe for concurrent use.
func (c *Client) Update(size uint64, signed []byte) {
	if size == 0 {
		return // nothing is in it that could be cosigned
	}
	c.latest.Store(&checkpoint{size: size, signed: bytes.Clone(signed)})
	select {
	case c.fresh <- struct{}{}:
	default:
	}
}

// Run asks the witnesses until ctx ends. Trouble is logged and tried again,
// each time after twice the pause, at most five minutes. Call it once.
func (c *Client) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	answers := make(chan answer)
	for _, w := range c.witnesses {
		running.Go(func() { w.run(ctx, answers) })
	}
	r := &round{policy: c.config.Policy, away: make([]bool, len(c.witnesses))}
	for {
		if !c.begin(ctx, r, answers) {
			return
		}
		pause := time.NewTimer(roundPause)
		for paused := false; !paused || r.waiting > 0; {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
				paused = true
			case a := <-answers:
				c.take(r, a)
			}
		}
	}
}

// begin waits for a checkpoint that is new and starts a round about it.
func (c *Client) begin(ctx context.Context, r *round, answers <-chan answer) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case a := <-answers:
			c.take(r, a) // a witness that was away, or late
		case <-c.fresh:
			latest := c.latest.Load()
			if latest == r.checkpoint {
				continue
			}
			r.start(latest)
			for _, w := range c.witnesses {
				w.give(r.checkpoint)
			}
			return true
		}
	}
}

// take notes one witness's answer.
func (c *Client) take(r *round, a answer) {
	if r.note(a) {
		if signed, ok := r.cosigned(); ok {
			c.config.Cosigned(r.checkpoint.size, signed)
		}
	}
}

// round is the collecting of cosignatures for one checkpoint. It belongs to
// the goroutine in Run.
type round struct {
	policy     *Policy
	checkpoint *checkpoint
	answered   []bool
	expected   []bool   // by witness: it was not away when the round began
	lines      []string // by witness; empty when it has not cosigned
	waiting    int      // witnesses that are expected and have not answered
	away       []bool   // by witness: its last answer was a failure
}

func (r *round) start(c *checkpoint) {
	r.checkpoint, r.waiting = c, 0
	r.answered, r.lines = make([]bool, len(r.away)), make([]string, len(r.away))
	r.expected = make([]bool, len(r.away))
	for i, away := range r.away {
		if !away {
			r.expected[i] = true
			r.waiting++
		}
	}
}

// note takes an answer and says whether it is a cosignature of this round's
// checkpoint.
func (r *round) note(a answer) bool {
	current := a.checkpoint == r.checkpoint
	if current && !r.answered[a.witness] {
		r.answered[a.witness] = true
		if r.expected[a.witness] {
			r.waiting--
		}
	}
	r.away[a.witness] = a.line == ""
	if !current || a.line == "" {
		return false
	}
	r.lines[a.witness] = a.line
	return true
}

// cosigned returns the checkpoint with the cosignatures there are, if they
// make up the quorum.
func (r *round) cosigned() ([]byte, bool) {
	signed := bytes.Clone(r.checkpoint.signed)
	for _, line := range r.lines {
		signed = append(signed, line...)
	}
	_, ok := r.policy.Satisfied(signed)
	return signed, ok
}
