package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// knob is a fault of countersign demo.
type knob struct{ name, query string }

// knobs are the demo's own suggestions, and two that are harder to see.
var knobs = []knob{
	{"a third fails", "error_rate=0.3"},
	{"8 % fail", "error_rate=0.08"},
	{"four seconds slower", "latency_ms=4000"},
	{"300 ms slower", "latency_ms=300"},
	{"100 ms slower each second", "ramp_ms=100"},
	{"no answers", "hang=true"},
	{"gone", "die=true"},
	{"fails by turns, 12 s each", "flap_s=12"},
}

// Detection is how long a real demo took, in seconds from the fault on.
type Detection struct {
	Fault string `json:"fault"`
	Query string `json:"query"`
	Round int    `json:"round"`
	// Early says that an incident had opened before the fault, so that nothing else is
	// known.
	Early bool `json:"early,omitempty"`
	// Incident is when the API listed it, Message when the first one was in the
	// inbox, Link when one was with a link to decide. Nil when it did not come.
	Incident *float64 `json:"incident_seconds"`
	Message  *float64 `json:"message_seconds"`
	Link     *float64 `json:"link_seconds"`
}

// trial is a demo that is well for a while, and then has a fault.
type trial struct {
	binary string
	rate   float64
	well   time.Duration // how long it is well before
	wait   time.Duration // how long the fault may take to be found
	knob   knob
	round  int
}

// looking is how often the demo is asked, which is how exact the figures are.
const looking = 100 * time.Millisecond

// run plays it. The fault begins at any moment of a tick.
func (t trial) run(ctx context.Context) (Detection, error) {
	d, err := startDemo(ctx, t.binary, t.rate, uint64(t.round)+1)
	if err != nil {
		return Detection{}, err
	}
	defer d.stop()
	phase := rand.New(rand.NewPCG(uint64(t.round), uint64(len(t.knob.query)))).Float64()
	if err := sleep(ctx, t.well+time.Duration(phase*float64(5*time.Second))); err != nil {
		return Detection{}, err
	}
	out := Detection{Fault: t.knob.name, Query: t.knob.query, Round: t.round}
	before, err := d.seen()
	if out.Early = before != (sight{}); err != nil || out.Early {
		return out, err
	}
	start := time.Now()
	if err := d.post("/demo/faults?" + t.knob.query); err != nil {
		return out, err
	}
	for out.Link == nil && time.Since(start) < t.wait {
		if err := sleep(ctx, looking); err != nil {
			return out, err
		}
		now, err := d.seen()
		if err != nil {
			return out, err
		}
		out.note(now, time.Since(start).Seconds())
	}
	return out, nil
}

// note keeps when something was first seen.
func (d *Detection) note(s sight, seconds float64) {
	for _, x := range []struct {
		there bool
		at    **float64
	}{{s.incident, &d.Incident}, {s.message, &d.Message}, {s.link, &d.Link}} {
		if x.there && *x.at == nil {
			*x.at = &seconds
		}
	}
}

// sight is what can be seen of a demo from outside.
type sight struct{ incident, message, link bool }

// demo is a countersign demo that runs.
type demo struct {
	cmd                 *exec.Cmd
	ended               chan struct{}
	dir                 string
	admin, inbox, knobs string
}

// guide finds in what a demo prints where everything is; empty while it has not.
var guide = regexp.MustCompile(`(?s)findings\s+http://([^/]+)/.*inbox\s+http://([^/]+)/.*http://([^/]+)/demo/faults.*Ctrl-C`)

// startDemo runs a demo on free ports and returns when it serves.
func startDemo(ctx context.Context, binary string, rate float64, seed uint64) (*demo, error) {
	dir, err := os.MkdirTemp("", "detection-")
	if err != nil {
		return nil, fmt.Errorf("no directory for the demo: %w", err)
	}
	d := &demo{dir: dir, ended: make(chan struct{})}
	said := filepath.Join(dir, "output")
	out, err := os.Create(said)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer out.Close()
	const free = "127.0.0.1:0"
	d.cmd = exec.CommandContext(ctx, binary, "demo", "--listen", free, "--admin", free, "--knobs", free, "--inbox", free, "--approve", free,
		"--data", filepath.Join(dir, "data"), "--rate", strconv.FormatFloat(rate, 'f', -1, 64), "--seed", strconv.FormatUint(seed, 10))
	d.cmd.Stdout, d.cmd.Stderr = out, out
	// Ctrl-C is for this process, which then has it end in its own way.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	d.cmd.Cancel = func() error { return d.cmd.Process.Signal(syscall.SIGTERM) }
	d.cmd.WaitDelay = patienceToEnd
	if err := d.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("the demo cannot be started: %w", err), os.RemoveAll(dir))
	}
	go func() { _ = d.cmd.Wait(); close(d.ended) }()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		text, _ := os.ReadFile(said)
		if m := guide.FindSubmatch(text); m != nil {
			d.admin, d.inbox, d.knobs = string(m[1]), string(m[2]), string(m[3])
			return d, nil
		}
		select {
		case <-d.ended:
			d.stop()
			return nil, fmt.Errorf("the demo ended before it served: %s", strings.TrimSpace(string(text)))
		case <-time.After(looking):
		}
	}
	d.stop()
	return nil, errors.New("the demo does not serve within a minute")
}

// patienceToEnd is how long a demo may take to end when it is told to.
const patienceToEnd = 30 * time.Second

func (d *demo) stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(patienceToEnd):
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	_ = os.RemoveAll(d.dir)
}

var client = &http.Client{Timeout: 30 * time.Second}

func get(url string) ([]byte, error) {
	res, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s", url, res.Status)
	}
	return data, err
}

func (d *demo) post(path string) error {
	res, err := client.Post("http://"+d.knobs+path, "", nil)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the fault cannot be set: %s", res.Status)
	}
	return nil
}

// seen is what there is to see at the moment.
func (d *demo) seen() (s sight, err error) {
	data, err := get("http://" + d.admin + "/incidents")
	if err != nil {
		return s, err
	}
	var list struct{ Incidents []json.RawMessage }
	if err := json.Unmarshal(data, &list); err != nil {
		return s, fmt.Errorf("the list of incidents cannot be read: %w", err)
	}
	page, err := get("http://" + d.inbox + "/")
	if err != nil {
		return s, err
	}
	return sight{
		incident: len(list.Incidents) > 0,
		message:  strings.Contains(string(page), "<article>"),
		link:     strings.Contains(string(page), `<a href=`),
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
