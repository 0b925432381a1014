//go:build slow

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

const requestConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
actions:
  - {name: restart, url: %[2]q, secret_file: %[4]q, allow_private: true, gates: ["*"]}
  - {name: roll-back, title: Roll back the API, url: %[2]q, secret_file: %[4]q, allow_private: true, risk: high, gates: [burn_rate], watch: 1m}
channels:
  - {id: inbox, kind: webhook, allow_private: true, settings: {url: %[3]q, secret_file: %[4]q}}
  - {id: pager, kind: webhook, allow_private: true, settings: {url: %[5]q, secret_file: %[4]q}}
contacts:
  - {id: ana, name: Ana, channels: [inbox]}
  - {id: ben, name: Ben, channels: [pager]}
`

// TestWhoAsksDoesNotApproveAlone: a person asks for another action than the policy did, of
// high risk. Their own tap is refused, somebody else's runs it, and the ledger holds it.
func TestWhoAsksDoesNotApproveAlone(t *testing.T) {
	t.Parallel()
	pager := openInbox(t)
	l := startLoop(t, "", func(l *loop, _ func(string, string) string) string {
		return fmt.Sprintf(requestConfig, l.public, l.receiver, l.inbox.URL(), l.secret, pager.URL())
	})
	l.live(t)
	l.set(t, demo.Faults{ErrorRate: 0.2})
	eventuallyWithin(t, time.Minute, "the policy should ask", func() bool { return len(l.links(t)) == 1 })
	id := l.incidents(t)[0].ID
	said := l.command(t, "incident", "ask", id, "--action", "roll-back", "--who", "ana", "--reason", "the deployment did it", "--admin", l.admin, "--data", l.data)
	if !strings.Contains(said, "people are asked within seconds") {
		t.Error(said)
	}
	eventuallyWithin(t, time.Minute, "people should be asked anew", func() bool { return len(l.links(t)) == 2 })
	mine := l.links(t)[0]
	if page := asks(mine); !strings.Contains(page, "Asked for by Ana (ana)") || !strings.Contains(page, "The deployment did it.") || !strings.Contains(page, "Somebody else must approve") ||
		!strings.Contains(page, "the error rate went from") || strings.Contains(page, "<button>Approve") {
		t.Errorf("who has asked sees\n%s", page)
	}
	l.mustTap(t, "confirm", form(t, mine), 403, "Somebody else must approve")
	theirs := func() (link string) {
		for _, m := range linkInInbox.FindAllStringSubmatch(asks("http://"+pager.Addr()+"/"), -1) {
			if page := asks(strings.ReplaceAll(m[1], "&amp;", "&")); strings.Contains(page, "Roll back the API") && strings.Contains(page, "<button>Approve") {
				return strings.ReplaceAll(m[1], "&amp;", "&")
			}
		}
		return ""
	}
	eventuallyWithin(t, time.Minute, "the other one should be asked", func() bool { return theirs() != "" })
	l.mustTap(t, "confirm", form(t, theirs()), 200, "Approved")
	l.awaitStage(t, time.Minute, "RESOLVED")
	if n := len(l.received()); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	requested, asked, refused := l.entries(t, "approval.requested"), l.entries(t, "approval.asked"), l.entries(t, "approval.refused")
	if len(requested) != 1 || requested[0]["actor"] != "human:ana" || len(asked) != 1 || len(refused) != 1 {
		t.Fatalf("requested %v, asked %v, refused %v", requested, asked, refused)
	}
	if a := asked[0]["metadata"].(map[string]any)["approval"].(map[string]any); a["submitted_by"] != "human:ana" || a["risk"] != "high" {
		t.Errorf("asked %v", a)
	}
	if r := refused[0]["metadata"].(map[string]any)["approval"].(map[string]any); r["reason"] != "requester" || r["contact"] != "ana" {
		t.Errorf("refused %v", r)
	}
	if by := l.entries(t, "incident.authorized"); len(by) != 1 || by[0]["actor"] != "human:ben" {
		t.Errorf("authorized by %v", by)
	}
	l.mustReplay(t, id)
	l.kill()
	l.command(t, "ledger", "verify", "--store", l.data)
}
