//go:build slow

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

// faultPolicy decides as the built-in one does, with shorter waits.
const faultPolicy = `version: faults-1
incident:
  validate_after: 5s
  recover_after: 5s
flap:
  changes: 3
  within: 2m
  quiet: 30s
`

// faulty is a demo API with customers, behind a sidecar that can be killed and
// started again at the same addresses.
type faulty struct {
	*sidecar
	api   *demo.API
	data  string
	flags []string
	// through runs it, when it is not run by itself.
	through []string
}

// startFaulty begins one. Its window is short, so that a fault that is over
// leaves it soon.
func startFaulty(t *testing.T) *faulty {
	t.Helper()
	return startFaultyIn(t, filepath.Join(t.TempDir(), "data"))
}

// startFaultyIn begins one that keeps its data in a directory, with the flags
// that more has for its API.
func startFaultyIn(t *testing.T, data string, more ...func(*demo.API) []string) *faulty {
	t.Helper()
	f := makeFaulty(t, data, more...)
	f.begin(t)
	return f
}

// makeFaulty makes one that has yet to begin.
func makeFaulty(t *testing.T, data string, more ...func(*demo.API) []string) *faulty {
	t.Helper()
	api, err := demo.Open("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(policy, []byte(faultPolicy), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &faulty{api: api, data: data, flags: []string{
		"--listen", freeAddress(t), "--admin", freeAddress(t), "--data", data,
		"--policy", policy, "--window", "10s", "--response-timeout", "5s", "--service", "shop",
	}}
	for _, flags := range more {
		f.flags = append(f.flags, flags(api)...)
	}
	return f
}

// begin starts it, and its customers.
func (f *faulty) begin(t *testing.T) {
	t.Helper()
	f.restart(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	customers := &demo.Traffic{Target: f.url, Rate: 40, Seed: 1}
	go func() { done <- customers.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (f *faulty) restart(t *testing.T) {
	t.Helper()
	f.sidecar = startSidecarThrough(t, f.through, "http://"+f.api.Addr(), f.flags...)
	eventually(t, "the ledger should be open", func() bool { return f.ledger(t).State == "open" })
}

// crash kills the sidecar and starts it again.
func (f *faulty) crash(t *testing.T) {
	t.Helper()
	f.kill()
	<-f.done
	f.restart(t)
}

func (f *faulty) set(t *testing.T, faults demo.Faults) {
	t.Helper()
	if err := f.api.SetFaults(faults); err != nil {
		t.Fatal(err)
	}
}

// anIncident is what the tests read of GET /incidents.
type anIncident struct {
	ID      string   `json:"incident_id"`
	Stage   string   `json:"stage"`
	Gates   []string `json:"gates"`
	Verdict string   `json:"verdict"`
}

func (f *faulty) incidents(t *testing.T) []anIncident {
	t.Helper()
	var answer struct{ Incidents []anIncident }
	if err := json.Unmarshal(get(t, f.admin+"/incidents"), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Incidents
}

// awaitStage waits until the newest incident has a stage.
func (f *faulty) awaitStage(t *testing.T, within time.Duration, stage string) anIncident {
	t.Helper()
	var last anIncident
	within = max(within, patience)
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if all := f.incidents(t); len(all) > 0 {
			if last = all[0]; last.Stage == stage {
				return last
			}
		}
	}
	t.Fatalf("after %s there is no incident that is %s, the newest is %+v", within, stage, last)
	return last
}

// entries are the leaves of the ledger, of one kind when it is given.
func (f *faulty) entries(t *testing.T, kind string) []map[string]any {
	t.Helper()
	args := []string{"ledger", "show", "--json", "--admin", f.admin}
	if kind != "" {
		args = append(args, "--kind", kind)
	}
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderrOf(err))
	}
	var found []map[string]any
	for line := range strings.Lines(string(out)) {
		var record struct {
			Leaf map[string]any `json:"leaf"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		found = append(found, record.Leaf)
	}
	return found
}

func stderrOf(err error) string {
	if exit, ok := err.(*exec.ExitError); ok {
		return string(exit.Stderr)
	}
	return ""
}

// run runs the command and wants exit code 0.
func (f *faulty) command(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("countersign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// mustReplay makes sure that everything about an incident can be proven: it
// comes out the same when it is decided again, and the ledger verifies.
func (f *faulty) mustReplay(t *testing.T, id string) {
	t.Helper()
	f.command(t, "incident", "replay", "--admin", f.admin, id)
	f.command(t, "ledger", "verify", f.admin+"/ledger/")
}

// mustStaySuppressed makes sure that nothing had an effect in shadow mode, and
// that what it would have been is on record.
func (f *faulty) mustStaySuppressed(t *testing.T) {
	t.Helper()
	if due := f.entries(t, "effect.due"); len(due) > 0 {
		t.Errorf("an effect in shadow mode: %v", due[0])
	}
	suppressed := f.entries(t, "effect.suppressed")
	if len(suppressed) == 0 {
		t.Error("no suppressed effect is on record")
	}
	for _, e := range suppressed {
		if e["actor"] != "shadow_mode" || e["decision"] != "shadow" {
			t.Errorf("suppressed: %v", e)
		}
	}
}

// tick is the time between two decisions.
const tick = 5 * time.Second

// TestFaults breaks the demo API in each of its ways: the incident opens at the
// tick at which the gate's condition first holds, goes on after the sidecar was
// killed, is ended by the policy when the fault is over, and comes out the same
// in a replay.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		faults demo.Faults
		gate   string        // that the incident names
		within time.Duration // until its condition holds
	}{
		{"latency step", demo.Faults{LatencyMS: 4000}, "absolute_threshold", 2 * tick},
		{"error burst", demo.Faults{ErrorRate: 0.3}, "absolute_threshold", 2 * tick},
		{"hang", demo.Faults{Hang: true}, "", 4 * tick},
		{"death", demo.Faults{Die: true}, "", 2 * tick},
		{"slow ramp", demo.Faults{RampMS: 400}, "absolute_threshold", 5 * tick},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := startFaulty(t)
			time.Sleep(2 * tick) // of health, so that it is the fault that opens it
			if all := f.incidents(t); len(all) > 0 {
				t.Fatalf("an incident before the fault: %+v", all[0])
			}
			f.set(t, c.faults)
			opened := f.awaitStage(t, c.within+2*tick, "DETECTED")
			f.mustBePrompt(t)
			if c.gate != "" && !strings.Contains(fmt.Sprint(opened.Gates), c.gate) {
				t.Errorf("the gates are %v, without %s", opened.Gates, c.gate)
			}
			f.crash(t)
			if now := f.awaitStage(t, 6*tick, "VALIDATED"); now.ID != opened.ID {
				t.Errorf("after a crash the incident is %s, and was %s", now.ID, opened.ID)
			}
			f.set(t, demo.Faults{})
			if now := f.awaitStage(t, 12*tick, "RECOVERED"); now.ID != opened.ID {
				t.Errorf("%s has recovered, and %s was open", now.ID, opened.ID)
			}
			f.mustReplay(t, opened.ID)
			f.crash(t)
			f.mustReplay(t, opened.ID)
			f.mustStaySuppressed(t)
			recovered := f.entries(t, "incident.recovered")
			if len(recovered) != 1 || recovered[0]["actor"] != "policy" {
				t.Errorf("it recovered by %v", recovered)
			}
		})
	}
}

// mustBePrompt makes sure that the incident opened at the first tick at which
// the condition held: the evidence has the state before it, in which it did not,
// and the entry was durable well within the tick.
func (f *faulty) mustBePrompt(t *testing.T) {
	t.Helper()
	detected := f.entries(t, "incident.detected")
	if len(detected) != 1 {
		t.Fatalf("%d incidents were detected", len(detected))
	}
	metadata, _ := detected[0]["metadata"].(map[string]any)
	observed, err := time.Parse(time.RFC3339Nano, fmt.Sprint(metadata["observed_at"]))
	if err != nil {
		t.Fatal(err)
	}
	written, err := time.Parse(time.RFC3339Nano, fmt.Sprint(detected[0]["time"]))
	if err != nil {
		t.Fatal(err)
	}
	if took := written.Sub(observed); took < 0 || took > tick {
		t.Errorf("the entry came %s after the tick that it is about", took)
	}
	evidence, _ := detected[0]["evidence"].([]any)
	for _, item := range evidence {
		named, _ := item.(map[string]any)
		if named["name"] != "decision.json" {
			continue
		}
		var made struct {
			Before struct {
				Service struct {
					State string `json:"state"`
				} `json:"service"`
			} `json:"before"`
		}
		if err := json.Unmarshal(get(t, f.admin+"/ledger/blob/"+fmt.Sprint(named["sha256"])), &made); err != nil {
			t.Fatal(err)
		}
		if made.Before.Service.State == "DOWN" {
			t.Error("the condition held at an earlier tick already")
		}
		return
	}
	t.Error("the evidence has no decision")
}

// TestFlap: an API that goes to and fro is told of once, as one incident.
func TestFlap(t *testing.T) {
	t.Parallel()
	f := startFaulty(t)
	time.Sleep(2 * tick)
	f.set(t, demo.Faults{FlapSeconds: 20})
	opened := f.awaitStage(t, 4*tick, "DETECTED")
	eventuallyWithin(t, 2*time.Minute, "the service should be called flapping", func() bool {
		return len(f.entries(t, "target.flapping")) > 0
	})
	time.Sleep(40 * time.Second) // a whole cycle more
	f.set(t, demo.Faults{})
	f.awaitStage(t, 2*time.Minute, "RECOVERED")
	if n := len(f.incidents(t)); n > 3 {
		t.Errorf("%d incidents of one that flaps", n)
	}
	if n := len(f.entries(t, "target.flapping")); n != 1 {
		t.Errorf("flapping is told %d times", n)
	}
	f.mustReplay(t, opened.ID)
	f.mustStaySuppressed(t)
}

func eventuallyWithin(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("after %s: %s", limit, what)
}

// mustNotDecide makes sure that a fault is seen and reported, and that no
// incident is made of it while the ledger takes no entries.
func (f *faulty) mustNotDecide(t *testing.T) {
	t.Helper()
	eventuallyWithin(t, 6*tick, "the health document should say that the ledger is gone", func() bool {
		text := string(get(t, f.admin+"/health/alerts"))
		return strings.Contains(text, "ledger_unavailable") && strings.Contains(text, "error_anomaly")
	})
	if all := f.incidents(t); len(all) > 0 {
		t.Errorf("an incident that no ledger has: %+v", all[0])
	}
	before := f.counts(t)["success"]
	eventually(t, "traffic should be served", func() bool { return f.counts(t)["success"] > before })
}

// TestFullDiskStopsDecisions: the same with a disk that is full for a while.
func TestFullDiskStopsDecisions(t *testing.T) {
	t.Parallel()
	v := newVolume(t, 192*mib)
	f := startFaultyIn(t, filepath.Join(v.dir, "data"))
	eventually(t, "the policy should be on record", func() bool { return f.ledger(t).Size == 3 })
	v.fill("ballast")
	f.set(t, demo.Faults{ErrorRate: 0.5})
	f.mustNotDecide(t)
	v.give("ballast")
	opened := f.awaitStage(t, 4*tick, "DETECTED")
	f.set(t, demo.Faults{})
	f.awaitStage(t, 12*tick, "RECOVERED")
	f.mustReplay(t, opened.ID)
	f.mustStaySuppressed(t)
}

// TestLedgerStopsDecisions: with a ledger that takes no entries traffic is
// served, the health document says so, nothing is decided, and all of it goes
// on when the ledger is back.
func TestLedgerStopsDecisions(t *testing.T) {
	t.Parallel()
	f := startFaulty(t)
	f.awaitReady(t)
	f.command(t, "shadow", "off", "--admin", f.admin, "--data", f.data, "--who", "ana", "--reason", "a test")
	if err := f.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-f.done
	store := filepath.Join(f.data, "store")
	if err := os.Rename(store, store+".away"); err != nil {
		t.Fatal(err)
	}
	f.sidecar = startSidecarThrough(t, f.through, "http://"+f.api.Addr(), f.flags...)
	f.awaitLedger(t, "failed", 0)
	f.set(t, demo.Faults{ErrorRate: 0.5})
	f.mustNotDecide(t)
	if text := string(get(t, f.admin+"/health/alerts")); !strings.Contains(text, `"shadow_mode":true`) {
		t.Error("without a ledger effects are possible")
	}
	f.kill()
	<-f.done
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(store+".away", store); err != nil {
		t.Fatal(err)
	}
	f.restart(t)
	opened := f.awaitStage(t, 4*tick, "DETECTED")
	f.set(t, demo.Faults{})
	f.awaitStage(t, 12*tick, "RECOVERED")
	f.mustReplay(t, opened.ID)
	if n := len(f.entries(t, "effect.due")); n == 0 {
		t.Error("live, and no effect was due")
	}
}
