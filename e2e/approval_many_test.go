//go:build slow

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
	"github.com/countersign-dev/countersign/orchestrator/approval"
)

// offered are the forms of all links that were offered, made by the sidecar's key
// from what the ledger says of them.
func (a *asking) offered(t *testing.T) []url.Values {
	t.Helper()
	key, err := approval.OpenKey(filepath.Join(a.data, approval.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	var forms []url.Values
	for _, e := range a.entries(t, "approval.offered") {
		step := e["metadata"].(map[string]any)["approval"].(map[string]any)
		text := func(in map[string]any, name string) string { s, _ := in[name].(string); return s }
		moment := func(name string) time.Time {
			at, err := time.Parse(time.RFC3339, text(step, name))
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		token, err := key.Mint(approval.Claims{
			ID: text(step, "link_id"), Contact: text(step, "contact"), Tenant: text(e, "tenant_id"), Incident: text(e, "incident_id"),
			ActionDigest: text(e, "action_digest"), PolicyDigest: text(e, "policy_digest"), IssuedAt: moment("issued_at"), ExpiresAt: moment("expires_at"),
		})
		if err != nil {
			t.Fatal(err)
		}
		forms = append(forms, url.Values{"token": {token}, "code": {code(t, a.data, token)}})
	}
	return forms
}

// TestApprovalByEverybodyAtOnce has many people tap as often as their links allow,
// all at once, half of them to approve and half to reject: one decides.
func TestApprovalByEverybodyAtOnce(t *testing.T) {
	t.Parallel()
	const people, allowed = 50, 10
	a := startAsking(t, 1)
	more := "contacts:\n"
	for i := range people - 2 {
		more += fmt.Sprintf("  - {id: person-%d, channels: [inbox]}\n", i)
	}
	a.edit(t, "--config", "contacts:\n", more)
	a.crash(t)
	a.live(t)
	a.set(t, demo.Faults{LatencyMS: 4000})
	a.awaitStage(t, 8*tick, "VALIDATED")
	eventually(t, "everybody should be offered a link", func() bool { return len(a.entries(t, "approval.offered")) == people })
	forms := a.offered(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200, MaxConnsPerHost: 200}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var mu sync.Mutex
	answers, first := map[int]int{}, 0
	begin := make(chan struct{})
	for i := range people * allowed * 2 {
		all.Go(func() {
			<-begin
			what := []string{"confirm", "reject"}[i/people%2]
			status, page, err := a.tap(client, what, forms[i%people])
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
			if status == 200 && strings.Contains(page, "<h1>Approved</h1>") {
				first++
			}
		})
	}
	close(begin)
	all.Wait()
	// Beyond the limit of each link they are told to wait.
	if answers[200] != 1 || answers[409] < people*allowed-1 || answers[200]+answers[409]+answers[429] != people*allowed*2 {
		t.Errorf("the answers are %v", answers)
	}
	t.Logf("the answers are %v", answers)
	authorized, rejected := len(a.entries(t, "incident.authorized")), len(a.entries(t, "incident.rejected"))
	if authorized != first || authorized+rejected != 1 {
		t.Errorf("%d entries authorize and %d reject, %d taps were told that theirs approved", authorized, rejected, first)
	}
	if authorized == 1 {
		a.awaitStage(t, 12*tick, "RESOLVED")
		a.mustHaveRun(t)
	} else if a.knobs.Actions() != 0 {
		t.Error("what was rejected has run")
	}
	a.command(t, "ledger", "verify", a.admin+"/ledger/")
}
