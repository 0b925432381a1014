//go:build slow

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

func startMendable(t *testing.T, at string) *loop {
	t.Helper()
	return startLoop(t, at, func(l *loop, _ func(string, string) string) string {
		return fmt.Sprintf(crashConfig, l.public, l.receiver, l.inbox.URL(), l.secret, true)
	})
}

func (l *loop) page() string { return asks("http://" + l.inbox.Addr() + "/") }

// ticks waits until the sidecar has looked n times more.
func (l *loop) ticks(t *testing.T, n int) {
	t.Helper()
	var last int64
	eventuallyWithin(t, time.Minute, fmt.Sprintf("%d ticks should pass", n), func() bool {
		if at := l.health(t).Timestamp; at != last {
			last, n = at, n-1
		}
		return n < 0
	})
}

// shadow switches shadow mode.
func (l *loop) shadow(t *testing.T, to string) {
	t.Helper()
	l.command(t, "shadow", to, "--admin", l.admin, "--data", l.data, "--who", "ana")
}

// TestGoingLiveAsks: an incident that was validated in shadow mode is asked about when it
// is switched off; switched on, links refuse; off again, people are asked anew.
func TestGoingLiveAsks(t *testing.T) {
	t.Parallel()
	l := startMendable(t, "")
	l.set(t, demo.Faults{ErrorRate: 0.2})
	l.awaitStage(t, time.Minute, "VALIDATED")
	if page := l.page(); strings.Contains(page, "<article>") {
		t.Fatalf("in shadow mode\n%s", page)
	}
	l.shadow(t, "off")
	eventuallyWithin(t, time.Minute, "people should be asked", func() bool { return len(l.links(t)) == 1 })
	old := form(t, l.links(t)[0])
	l.shadow(t, "on")
	l.mustTap(t, "confirm", old, 403, "hadow")
	l.shadow(t, "off")
	eventuallyWithin(t, time.Minute, "people should be asked anew", func() bool { return len(l.links(t)) == 2 })
	if len(l.received()) != 0 || len(l.entries(t, "approval.refused")) != 1 || len(l.entries(t, "approval.asked")) != 2 {
		t.Errorf("%d requests, refused %v", len(l.received()), l.entries(t, "approval.refused"))
	}
	l.mustTap(t, "confirm", form(t, l.links(t)[0]), 200, "Approved")
	l.awaitStage(t, time.Minute, "RESOLVED")
	if n := len(l.received()); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	l.mustReplay(t, l.incidents(t)[0].ID)
}

// TestChangedPolicyAsksAnew: with another policy after a restart what was sent before is
// refused, and people are asked anew at once.
func TestChangedPolicyAsksAnew(t *testing.T) {
	t.Parallel()
	l := startMendable(t, "")
	l.live(t)
	l.set(t, demo.Faults{ErrorRate: 0.2})
	eventuallyWithin(t, time.Minute, "people should be asked", func() bool { return len(l.links(t)) == 1 })
	old := form(t, l.links(t)[0])
	policy := filepath.Join(filepath.Dir(l.data), "policy.yaml")
	if err := os.WriteFile(policy, []byte(strings.Replace(crashPolicy, "crash-1", "crash-2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.kill()
	l.start(t, "")
	eventuallyWithin(t, time.Minute, "people should be asked anew", func() bool { return len(l.links(t)) == 2 })
	l.mustTap(t, "confirm", old, 403, "The policy has changed")
	if refused := l.entries(t, "approval.refused"); len(refused) != 1 || len(l.received()) != 0 {
		t.Errorf("refused %v, %d requests", refused, len(l.received()))
	}
	l.mustTap(t, "confirm", form(t, l.links(t)[0]), 200, "Approved")
	l.awaitStage(t, time.Minute, "RESOLVED")
	l.mustReplay(t, l.incidents(t)[0].ID)
}

const stormConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
actions:
  - {name: restart, url: %[2]q, secret_file: %[4]q, allow_private: true, gates: ["*"]}
  - {name: shed, url: %[2]q, secret_file: %[4]q, allow_private: true, shed: true}
channels:
  - {id: inbox, kind: webhook, allow_private: true, settings: {url: %[3]q, secret_file: %[4]q}}
contacts:
  - {id: ana, channels: [inbox]}
`

// TestStormIsShed: in a retry storm what sheds load is proposed before the restart.
func TestStormIsShed(t *testing.T) {
	t.Parallel()
	l := startLoop(t, "", func(l *loop, file func(string, string) string) string {
		file("policy.yaml", crashPolicy+"health: {min_baseline_ticks: 5}\n")
		return fmt.Sprintf(stormConfig, l.public, l.receiver, l.inbox.URL(), l.secret)
	})
	l.live(t)
	l.ticks(t, 12) // of health, so that it is known what is usual
	customers(t, &demo.Traffic{Target: l.url, Rate: 80, Seed: 2})
	l.set(t, demo.Faults{ErrorRate: 0.8})
	incident := l.awaitStage(t, time.Minute, "VALIDATED")
	proposed := append(l.entries(t, "incident.revised"), l.entries(t, "incident.proposed")...)
	if !strings.Contains(fmt.Sprint(proposed[0]), "retry_storm:true") || !strings.Contains(fmt.Sprint(proposed[0]), "action:shed") {
		t.Errorf("proposed %v", proposed)
	}
	l.mustReplay(t, incident.ID)
}
