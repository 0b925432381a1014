//go:build slow

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

// crashEdits are where the binary of this suite can be told to end: the sources stay as
// they are, and are compiled with these lines in the place of others. It ticks faster,
// too.
var crashEdits = map[string][][2]string{
	"orchestrator/docket/record.go": {
		{`_, err := d.clerk.ledger.Append(ctx, entries)`, "crash.Before(entries)\n\t_, err := d.clerk.ledger.Append(ctx, entries)\n\tcrash.After(entries)"},
	},
	"orchestrator/docket/execution.go": {
		{`return d.cfg.Execute(ctx, tenant, action, run.Vars, run.Key)`, "crash.At(\"execute\")\n\tr = d.cfg.Execute(ctx, tenant, action, run.Vars, run.Key)\n\tcrash.At(\"executed\")\n\treturn r"},
	},
	"orchestrator/outbox/next.go": {
		{`n.state.awaits(d.letter) {`, "n.state.awaits(d.letter) {\n\t\tcrash.At(\"waits/\" + d.letter.Event)"},
	},
	"orchestrator/counsel/counsel.go": {
		{`g := c.consult(ctx, t, found, stage)`, "g := c.consult(ctx, t, found, stage)\n\tcrash.At(\"consulted/\" + string(stage))"},
	},
	"orchestrator/outbox/run.go": {
		{`accepted, err := r.carry(p)`, "crash.At(\"begun/\" + p.Letter.Event)\n\taccepted, err := r.carry(p)\n\tcrash.At(\"accepted/\" + p.Letter.Event)"},
		{`noted(func() error { return r.journal.sent(proof) })`, "noted(func() error { return r.journal.sent(proof) })\n\tcrash.At(\"kept/\" + p.Letter.Event)"},
	},
	"orchestrator/outbox/parcel.go": {
		{`return channel.Send(ctx, m)`, "crash.At(\"minted/\" + p.Letter.Event)\n\t\treturn channel.Send(ctx, m)"},
	},
	"orchestrator/history/doc.go":     {{`const Interval = 5 * time.Second`, `const Interval = time.Second`}},
	"orchestrator/history/restore.go": {{`const pause = 4 * Interval`, `const pause = 20 * time.Second`}},
	"orchestrator/tenant/fetch.go":    {{`Interval = 5 * time.Second`, `Interval = time.Second`}},
}

// crashing is the binary that ends where CRASH_AT says.
var crashing = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(binary)
	replace := map[string]string{filepath.Join(root, "orchestrator", "crash", "crash.go"): filepath.Join(root, "e2e", "testdata", "crash", "crash.go")}
	for name, edits := range crashEdits {
		source, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		text := string(source)
		for _, e := range edits {
			if strings.Count(text, e[0]) != 1 {
				return "", fmt.Errorf("%s has %q %d times, and must have it once: bring crashEdits up to date", name, e[0], strings.Count(text, e[0]))
			}
			text = strings.Replace(text, e[0], e[1], 1)
		}
		if strings.Contains(text, "crash.") {
			text = strings.Replace(text, "import (", "import (\n\t\"github.com/countersign-dev/countersign/orchestrator/crash\"", 1)
		}
		edited := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(edited, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = edited
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file, out := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "crashing")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-overlay", file, "-o", out, "../cmd/countersign")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the binary that ends: %w\n%s", err, said)
	}
	return out, nil
})

const crashPolicy = `version: crash-1
incident: {validate_after: 1s, recover_after: 2s}
`

const crashConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
actions:
  - {name: mend, url: %[2]q, secret_file: %[4]q, allow_private: true, idempotent: %[5]t, risk: low, gates: ["*"], watch: 1m}
channels:
  - {id: inbox, kind: webhook, allow_private: true, settings: {url: %[3]q, secret_file: %[4]q}}
contacts:
  - {id: ana, name: Ana, channels: [inbox]}
`

// loop is a service that people can have mended, in fast motion. Its sidecar can be made
// to end once.
type loop struct {
	*asking
	receiver string // the URL of the action
	secret   string // the file
	starts   int
	kills    bool // the receiver kills the sidecar before it answers, once

	mu       sync.Mutex
	requests []aRequest
}

// aRequest is one that the action's receiver has got.
type aRequest struct {
	key string
	at  time.Time
}

// startLoop begins one whose sidecar ends at a point, when that is named. configure
// gives its configuration; file keeps a text beside it.
func startLoop(t *testing.T, at string, configure func(l *loop, file func(name, text string) string) string) *loop {
	t.Helper()
	dir := t.TempDir()
	c := &loop{asking: &asking{public: freeAddress(t), faulty: &faulty{data: filepath.Join(dir, "data")}}, kills: at == "request"}
	var err error
	if c.api, err = demo.Open("127.0.0.1:0", 1); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.api.Close)
	c.inbox = openInbox(t)
	receiver := httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(receiver.Close)
	c.receiver = receiver.URL
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	c.secret = file("secret", askingSecret)
	policy := file("policy.yaml", crashPolicy) // which configure may replace
	config := file("config.yaml", configure(c, file))
	c.flags = []string{
		"--listen", freeAddress(t), "--admin", freeAddress(t), "--data", c.data, "--policy", policy, "--window", "10s", "--service", "shop", "--config", config,
	}
	c.start(t, at)
	customers(t, &demo.Traffic{Target: c.url, Rate: 40, Seed: 1})
	return c
}

func openInbox(t *testing.T) *demo.Inbox {
	t.Helper()
	inbox, err := demo.OpenInbox("127.0.0.1:0", askingSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inbox.Close)
	return inbox
}

// customers has traffic until the end of the test.
func customers(t *testing.T, traffic *demo.Traffic) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- traffic.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// start runs the sidecar; it ends at a point when that is named.
func (c *loop) start(t *testing.T, at string) {
	t.Helper()
	path, err := crashing()
	if err != nil {
		t.Fatal(err)
	}
	c.starts++
	p := start(t, syscall.SIGKILL, "env", append([]string{
		"CRASH_AT=" + at, path, "run", "--upstream", "http://" + c.api.Addr(), "--wait-upstream", "0", "--log-format", "json"}, c.flags...)...)
	var line struct{ Listen, Admin any }
	if err := json.Unmarshal([]byte(p.awaitLine(t, `"serving"`)), &line); err != nil {
		t.Fatal(err)
	}
	c.sidecar = &sidecar{process: p, address: logged(line.Listen), admin: "http://" + logged(line.Admin)}
	c.url = "http://" + c.address
}

// receive is the other side of the action: it mends the API.
func (c *loop) receive(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, aRequest{r.Header.Get("Idempotency-Key"), time.Now()})
	if c.kills {
		c.kills = false
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
		<-c.done
		return
	}
	if err := c.api.SetFaults(demo.Faults{}); err != nil {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (c *loop) received() []aRequest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]aRequest(nil), c.requests...)
}

// asks is GET without a word about who is not there.
func asks(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}

// goesOn does what a person and a supervisor do, until the incident has ended and
// everybody was told: it starts a sidecar that has ended, and approves.
func (c *loop) goesOn(t *testing.T) (stage string) {
	t.Helper()
	for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		select {
		case <-c.done:
			if c.starts > 1 {
				t.Fatal("the sidecar has ended a second time")
			}
			c.start(t, "")
			continue
		default:
		}
		page := asks("http://" + c.inbox.Addr() + "/")
		if stage == "" || stage == "VALIDATED" {
			c.approve(page)
		}
		var answer struct{ Incidents []anIncident }
		if json.Unmarshal([]byte(asks(c.admin+"/incidents")), &answer) != nil || len(answer.Incidents) == 0 {
			continue
		}
		stage = answer.Incidents[0].Stage
		if ended := strings.Contains(page, "Recovered") || strings.Contains(page, "did not help"); ended && stage != "VALIDATED" && c.starts > 1 && c.settled() {
			return stage
		}
	}
	t.Fatalf("it has not come to an end: the stage is %s after %d starts, with\n%s", stage, c.starts, asks("http://"+c.inbox.Addr()+"/"))
	return ""
}

// settled says whether all that is due has a receipt.
func (c *loop) settled() bool {
	var status struct {
		Outbox *struct {
			Pending int
			Problem string
		}
	}
	return json.Unmarshal([]byte(asks(c.admin+"/status")), &status) == nil && status.Outbox != nil && status.Outbox.Pending == 0 && status.Outbox.Problem == ""
}

// approve follows each link, whatever becomes of it.
func (c *loop) approve(page string) {
	for _, m := range linkInInbox.FindAllStringSubmatch(page, -1) {
		values := map[string][]string{}
		for _, f := range hidden.FindAllStringSubmatch(asks(strings.ReplaceAll(m[1], "&amp;", "&")), -1) {
			values[f[1]] = []string{f[2]}
		}
		if len(values) == 2 {
			_, _, _ = c.tap(http.DefaultClient, "confirm", values) // the sidecar may end meanwhile
		}
	}
}

// TestCrashAnywhere ends the sidecar between each pair of steps, from the first entry
// of an incident to the last receipt, and starts it again: nothing is run without its
// authorization on disk, nothing twice, and nothing is lost.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	points := []string{"execute", "request", "executed"}
	for _, kind := range []string{
		"incident.detected", "incident.proposed", "incident.validated", "incident.authorized", "incident.executed", "effect.receipt/execution", "incident.resolved",
		"effect.receipt/incident", "effect.receipt/validated", "effect.receipt/recovered",
	} {
		points = append(points, "before:"+kind, "after:"+kind)
	}
	for _, event := range []string{"incident", "validated", "recovered"} {
		points = append(points, "begun/"+event, "minted/"+event, "accepted/"+event, "kept/"+event)
	}
	for _, at := range points {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			mustSurvive(t, at, true)
		})
	}
	// What the other side would do twice is not sent twice, whatever that costs.
	for _, at := range []string{"before:incident.executed", "after:incident.executed", "execute", "request", "executed", "before:effect.receipt/execution", "after:effect.receipt/execution"} {
		t.Run("once only/"+at, func(t *testing.T) {
			t.Parallel()
			mustSurvive(t, at, false)
		})
	}
}

func mustSurvive(t *testing.T, at string, idempotent bool) {
	t.Helper()
	mustSurviveAs(t, at, idempotent, func(l *loop, _ func(string, string) string) string {
		return fmt.Sprintf(crashConfig, l.public, l.receiver, l.inbox.URL(), l.secret, idempotent)
	})
}

// mustSurviveAs is mustSurvive with another configuration.
func mustSurviveAs(t *testing.T, at string, idempotent bool, configure func(*loop, func(string, string) string) string) *loop {
	t.Helper()
	c := startLoop(t, at, configure)
	c.live(t)
	c.set(t, demo.Faults{ErrorRate: 0.2})
	if !idempotent {
		c.mendLate(t)
	}
	stage := c.goesOn(t)
	requests, doubtful := c.received(), at == "after:incident.executed" || at == "execute" || at == "request" || at == "executed" || at == "before:effect.receipt/execution"
	switch {
	case idempotent && (len(requests) < 1 || len(requests) > 2 || stage != "RESOLVED"):
		t.Errorf("it was sent %d times, and the incident is %s", len(requests), stage)
	case !idempotent && (len(requests) > 1 || !doubtful && len(requests) != 1):
		t.Errorf("it was sent %d times", len(requests))
	}
	authorized, executed := c.entries(t, "incident.authorized"), c.entries(t, "incident.executed")
	if len(authorized) != 1 || len(executed) != 1 {
		t.Fatalf("%d authorizations, %d executions", len(authorized), len(executed))
	}
	for _, r := range requests {
		if x := executed[0]["metadata"].(map[string]any)["execution"].(map[string]any); x["key"] != r.key {
			t.Errorf("it was sent with the key %q, and %v is on record", r.key, x["key"])
		}
		for _, e := range []map[string]any{authorized[0], executed[0]} {
			if written, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["time"])); err != nil || written.After(r.at) {
				t.Errorf("sent at %s, and %v is of %s", r.at, e["kind"], e["time"])
			}
		}
	}
	page := asks("http://" + c.inbox.Addr() + "/")
	for _, heading := range []string{"⚠ Incident\n", "⚠ Action recommended\n", "✅ Recovered\n"} {
		if n := strings.Count(page, heading); n != 1 {
			t.Errorf("a person sees %d messages %q", n, strings.TrimSpace(heading))
		}
	}
	if n := strings.Count(page, "It is not known whether it ran"); n != map[bool]int{true: 1}[!idempotent && doubtful] {
		t.Errorf("a person is told %d times that it is not known whether it ran", n)
	}
	receipts := 0
	for _, e := range c.entries(t, "effect.receipt") {
		if e["decision"] == "dead" {
			t.Errorf("a dead letter: %v", e)
		}
		if e["metadata"].(map[string]any)["effect"] == "execution" {
			receipts++
		}
	}
	if receipts != 1 {
		t.Errorf("the execution has %d receipts", receipts)
	}
	if t.Failed() {
		t.Log(page)
	}
	c.mustReplay(t, c.incidents(t)[0].ID)
	return c
}

// mendLate mends the API by another hand once an execution is on record: what may not
// be sent twice may never have been sent.
func (c *loop) mendLate(t *testing.T) {
	ended := make(chan struct{})
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop); <-ended })
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if strings.Contains(asks("http://"+c.inbox.Addr()+"/"), "It is not known whether it ran") {
				_ = c.api.SetFaults(demo.Faults{})
				return
			}
		}
	}()
}
