//go:build slow

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

const escalationConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s", voice_after: 3s, secondary_after: 6s}
actions:
  - {name: mend, url: %[2]q, secret_file: %[3]q, allow_private: true, idempotent: true, risk: low, gates: ["*"], watch: 1m}
channels:
  - {id: broken, kind: webhook, fallback: chat, allow_private: true, settings: {url: "%[4]s/broken", secret_file: %[3]q}}
  - {id: chat, kind: webhook, allow_private: true, settings: {url: %[5]q, secret_file: %[3]q}}
  - {id: phone, kind: twilio_voice, allow_private: true, settings: {api_url: %[4]q, account_sid: AC0123456789abcdef0123456789abcdef, token_file: %[6]q, from: "+15557654321", to: "+15551234567"}}
  - {id: pager, kind: webhook, allow_private: true, settings: {url: %[7]q, secret_file: %[3]q}}
  - {id: picky, kind: webhook, allow_private: true, settings: {url: "%[4]s/picky", secret_file: %[3]q}}
contacts:
  - {id: ana, channels: [broken, phone]}
  - {id: ben, channels: [pager], escalation: 2}
`

// outside are the channels' other sides but for the inboxes.
type outside struct {
	mu       sync.Mutex
	calls    []string // what is read out
	called   time.Time
	broken   int
	picky    []string // the ids of what was posted
	pickyYes bool     // it takes them
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case r.URL.Path == "/broken":
		o.broken++
		w.WriteHeader(http.StatusServiceUnavailable)
	case r.URL.Path == "/picky":
		o.picky = append(o.picky, r.Header.Get("webhook-id"))
		if !o.pickyYes {
			w.WriteHeader(http.StatusBadRequest)
		}
	case strings.HasSuffix(r.URL.Path, "/Calls.json"):
		o.calls, o.called = append(o.calls, r.PostFormValue("Twiml")), time.Now()
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"sid": "CA0123456789abcdef0123456789abcdef", "status": "queued"}`))
	}
}

func (o *outside) look(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

// TestEscalation has nobody decide: the fallback of a channel that is broken is used, a
// telephone rings, then another person is asked, decides, and is told of the end. What a
// channel refused is a dead letter, which is sent again with its key.
func TestEscalation(t *testing.T) {
	t.Parallel()
	var out outside
	server := httptest.NewServer(&out)
	t.Cleanup(server.Close)
	pager := openInbox(t)
	l := startLoop(t, "", func(l *loop, file func(string, string) string) string {
		token := file("token", "0123456789abcdef0123456789abcdef")
		return fmt.Sprintf(escalationConfig, l.public, l.receiver, l.secret, server.URL, l.inbox.URL(), token, pager.URL())
	})
	l.live(t)
	l.set(t, demo.Faults{ErrorRate: 0.2})
	inbox, later := "http://"+l.inbox.Addr()+"/", "http://"+pager.Addr()+"/"
	eventuallyWithin(t, time.Minute, "the second person should be asked", func() bool { return strings.Contains(asks(later), "Nobody has decided yet") })
	asked := l.entries(t, "incident.validated")
	if len(asked) != 1 {
		t.Fatalf("%d validations", len(asked))
	}
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(asked[0]["time"]))
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(at); waited < 6*time.Second {
		t.Errorf("the second person is asked after %s", waited)
	}
	out.look(func() {
		if len(out.calls) != 1 || out.called.Sub(at) < 3*time.Second || !strings.Contains(out.calls[0], "nobody has decided yet") || strings.Contains(out.calls[0], "http") {
			t.Errorf("called %d times, after %s: %q", len(out.calls), out.called.Sub(at), out.calls)
		}
		if out.broken < 3 {
			t.Errorf("the broken channel was tried %d times", out.broken)
		}
	})
	eventually(t, "the fallback should bring the question", func() bool { return strings.Contains(asks(inbox), "Action recommended") })
	eventuallyWithin(t, time.Minute, "it should be mended", func() bool {
		l.approve(asks(later))
		return len(l.received()) > 0
	})
	l.awaitStage(t, time.Minute, "RESOLVED")
	for _, page := range []string{inbox, later} {
		eventuallyWithin(t, time.Minute, "both should be told of the end", func() bool { return strings.Contains(asks(page), "Recovered") })
	}
	if by := l.entries(t, "incident.authorized"); len(by) != 1 || by[0]["actor"] != "human:ben" {
		t.Errorf("authorized by %v", by)
	}
	if page := asks(later); strings.Count(page, "<article>") != 2 {
		t.Errorf("the second person sees\n%s", page)
	}
	l.mustResend(t, &out)
	l.mustReplay(t, l.incidents(t)[0].ID)
}

// mustResend has a dead letter sent again.
func (l *loop) mustResend(t *testing.T, out *outside) {
	t.Helper()
	var dead []struct{ ID, Condition, Reason string }
	eventually(t, "what was refused should be a dead letter", func() bool {
		dead = nil
		text := l.command(t, "outbox", "list", "--json", "--admin", l.admin, "--data", l.data)
		return json.Unmarshal([]byte(text), &dead) == nil && len(dead) == 3 && dead[2].Condition == "dead"
	})
	if !strings.Contains(dead[0].Reason, "picky: refused with status 400") {
		t.Errorf("%+v", dead)
	}
	out.look(func() { out.pickyYes, out.picky = true, nil })
	l.command(t, "outbox", "retry", dead[0].ID, "--who", "ana", "--admin", l.admin, "--data", l.data)
	eventually(t, "it should arrive", func() bool {
		var got []string
		out.look(func() { got = out.picky })
		return len(got) == 1 && got[0] == dead[0].ID
	})
	eventually(t, "there should be two left", func() bool {
		var left []struct{ ID string }
		text := l.command(t, "outbox", "list", "--json", "--admin", l.admin, "--data", l.data)
		return json.Unmarshal([]byte(text), &left) == nil && len(left) == 2
	})
}

const remoteConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
tenants:
  - {id: payments, service: Payments API, health_url: %[6]q}
actions:
  - {name: own, url: "http://127.0.0.1:9/", secret_file: %[3]q, allow_private: true, gates: ["*"]}
  - {name: mend, tenant: payments, url: %[2]q, secret_file: %[3]q, allow_private: true, idempotent: true, risk: low, gates: ["*"], watch: 1m}
channels:
  - {id: own, kind: webhook, tenant: local, allow_private: true, settings: {url: %[4]q, secret_file: %[3]q}}
  - {id: theirs, kind: webhook, tenant: payments, allow_private: true, settings: {url: %[5]q, secret_file: %[3]q}}
contacts:
  - {id: ana, channels: [own]}
  - {id: pat, channels: [theirs]}
`

// TestRemoteTenantIsMended: an incident of a service that is watched from afar is told to
// its own people, asked of them, and mended by its own action.
func TestRemoteTenantIsMended(t *testing.T) {
	t.Parallel()
	theirs := openInbox(t)
	var l *loop
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		status, score, rate := "critical", 20.0, 0.5
		if len(l.received()) > 0 {
			status, score, rate = "ok", 100, 0
		}
		_ = json.NewEncoder(w).Encode(map[string]any{
			"status": status, "timestamp": time.Now().UnixNano(), "health_score": map[string]any{"score": score},
			"metrics": map[string]any{"overall_p95_ms": 40, "error_rate": rate, "sample_size": 400, "requests_per_second": 40},
		})
	}))
	t.Cleanup(remote.Close)
	l = startLoop(t, "", func(made *loop, _ func(string, string) string) string {
		l = made
		return fmt.Sprintf(remoteConfig, l.public, l.receiver, l.secret, l.inbox.URL(), theirs.URL(), remote.URL)
	})
	l.live(t)
	l.command(t, "shadow", "off", "--tenant", "payments", "--admin", l.admin, "--data", l.data, "--who", "pat")
	page := "http://" + theirs.Addr() + "/"
	eventuallyWithin(t, time.Minute, "it should be mended", func() bool {
		l.approve(asks(page))
		return len(l.received()) > 0
	})
	eventuallyWithin(t, time.Minute, "its people should be told of the end", func() bool { return strings.Contains(asks(page), "Recovered") })
	if text := asks("http://" + l.inbox.Addr() + "/"); strings.Contains(text, "<article>") {
		t.Errorf("other people are told\n%s", text)
	}
	eventually(t, "all should have a receipt", l.settled)
	entries := l.command(t, "ledger", "show", "--json", "--admin", l.admin, "--secret-file", filepath.Join(l.data, "secret"))
	for _, kind := range []string{"incident.authorized", "incident.executed", "incident.resolved"} {
		of := 0
		for line := range strings.Lines(entries) {
			if strings.Contains(line, `"kind":"`+kind+`"`) && strings.Contains(line, `"tenant_id":"payments"`) {
				of++
			}
		}
		if of != 1 {
			t.Errorf("%d entries of the tenant are %s", of, kind)
		}
	}
	l.kill()
	l.command(t, "ledger", "verify", "--store", l.data)
}
