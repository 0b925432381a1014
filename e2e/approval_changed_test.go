//go:build slow

package e2e

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign-dev/countersign/demo"
)

// edit changes the text of the file that a flag of the sidecar names.
func (a *asking) edit(t *testing.T, flag, old, with string) {
	t.Helper()
	path := a.flags[slices.Index(a.flags, flag)+1]
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), old, with, 1)
	if changed == string(text) {
		t.Fatalf("%s has no %q", path, old)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitRefusal waits for the entry of a tap that counted for nothing.
func (a *asking) awaitRefusal(t *testing.T, reason string) {
	t.Helper()
	eventually(t, "an entry should say that a tap was refused: "+reason, func() bool {
		return slices.ContainsFunc(a.entries(t, "approval.refused"), func(e map[string]any) bool {
			step, _ := e["metadata"].(map[string]any)["approval"].(map[string]any)
			return step["reason"] == reason
		})
	})
}

// mustBeRefused taps a link that is not good any more: nothing runs, a page says
// why, and so does an entry.
func (a *asking) mustBeRefused(t *testing.T, values map[string][]string, status int, page, reason string) {
	t.Helper()
	a.mustTap(t, "confirm", values, status, page)
	a.awaitRefusal(t, reason)
	if n := len(a.entries(t, "incident.authorized")); n > 0 || a.knobs.Actions() > 0 {
		t.Fatalf("%d entries authorize, %d actions ran", n, a.knobs.Actions())
	}
}

// TestApprovalOfWhatHasChanged changes the policy, or the action, after the links
// were sent. They are dead once the change is in force, and those of the next
// message are good.
func TestApprovalOfWhatHasChanged(t *testing.T) {
	for name, c := range map[string]struct{ flag, old, with, says, reason string }{
		"policy":    {"--policy", "faults-1", "faults-2", "The policy has changed since this link was made", "other_policy"},
		"catalogue": {"--config", "idempotent: true", "body: '{\"other\":\"{{incident_id}}\"}'\n    idempotent: true", "What would run has changed since this link was made", "other_action"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := startAsking(t, 1)
			a.live(t)
			links := a.awaitLinks(t, 2)
			values := form(t, links[0])
			a.edit(t, c.flag, c.old, c.with)
			a.signal(t, syscall.SIGHUP)
			a.awaitLine(t, "needs a restart")
			a.crash(t)
			eventually(t, "decisions should be recorded again", func() bool {
				return strings.Contains(string(get(t, a.admin+"/status")), `"decisions":{"ready":true`)
			})
			a.mustBeRefused(t, values, 403, c.says, c.reason)
			r, err := http.NewRequest("GET", links[0], nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, page := answered(t, r); status != 403 || !strings.Contains(string(page), c.says) || strings.Contains(string(page), "<form") {
				t.Errorf("%d\n%s", status, page)
			}
			eventually(t, "people should be asked anew", func() bool { return len(a.links(t)) > len(links) })
			a.mustTap(t, "confirm", form(t, a.links(t)[0]), 200, "Approved")
			a.mustBeMended(t)
		})
	}
}

// TestApprovalOfWhatHasRecovered has the service become well before the tap.
func TestApprovalOfWhatHasRecovered(t *testing.T) {
	t.Parallel()
	a := startAsking(t, 1)
	a.live(t)
	values := form(t, a.awaitLinks(t, 2)[0])
	a.set(t, demo.Faults{})
	ended := a.awaitStage(t, 12*tick, "RECOVERED")
	a.mustBeRefused(t, values, 409, "The service has recovered", "recovered")
	a.mustReplay(t, ended.ID)
}
