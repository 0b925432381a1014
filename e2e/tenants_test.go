//go:build slow

package e2e

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	ownSecret      = "secret-of-the-own-service"
	paymentsSecret = "secret-of-payments-afar"
)

// watching is a sidecar that stands beside one service, and watches from afar
// that of another sidecar, its tenant payments.
type watching struct {
	*sidecar
	secretFile string // with ownSecret
}

func startWatching(t *testing.T, upstream, remote string) *watching {
	t.Helper()
	dir := t.TempDir()
	w := &watching{secretFile: filepath.Join(dir, "own")}
	for path, text := range map[string]string{
		w.secretFile:                   ownSecret,
		filepath.Join(dir, "payments"): paymentsSecret,
		filepath.Join(dir, "config.yaml"): fmt.Sprintf("tenants:\n  - id: payments\n    health_url: %s\n    secret_file: %s\n",
			remote, filepath.Join(dir, "payments")),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.sidecar = startSidecar(t, upstream, "--config", filepath.Join(dir, "config.yaml"), "--tenant", "shop", "--secret-file", w.secretFile)
	eventually(t, "the ledger should be open", func() bool { return w.ledger(t).State == "open" })
	return w
}

// ask sends a request with a secret, unless it is empty.
func (w *watching) ask(t *testing.T, method, path, secret string) (status int, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, w.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		r.Header.Set("X-Tenant-Secret", secret)
	}
	return answered(t, r)
}

func answered(t *testing.T, r *http.Request) (status int, body []byte) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, body
}

// push delivers a push of one commit as GitHub does, signed with a secret.
func (w *watching) push(t *testing.T, delivery, secret string) (status int, body string) {
	t.Helper()
	payload := []byte(`{"ref":"refs/heads/main","repository":{"full_name":"acme/payments","default_branch":"main"},
		"commits":[{"id":"a1b2c3d4e5f60718293a4b5c6d7e8f9012345678","message":"Fix checkout query isolation level",
		"author":{"name":"ana"},"added":[],"removed":[],"modified":["db/migrations/0042_isolation.sql"]}]}`)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(payload)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.admin+"/commits/webhook?tenant=payments", bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery,
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	} {
		r.Header.Set(name, value)
	}
	status, answer := answered(t, r)
	return status, string(answer)
}

// entries are the leaves of the ledger of a kind, read with the own secret.
func (w *watching) entries(t *testing.T, kind string) []map[string]any {
	t.Helper()
	out, err := exec.Command(binary, "ledger", "show", "--json", "--kind", kind, "--admin", w.admin, "--secret-file", w.secretFile).Output()
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

// evidence reads a document that an entry refers to by name.
func (w *watching) evidence(t *testing.T, entry map[string]any, name string) string {
	t.Helper()
	list, _ := entry["evidence"].([]any)
	for _, item := range list {
		if named, _ := item.(map[string]any); named["name"] == name {
			status, body := w.ask(t, http.MethodGet, "/ledger/blob/"+fmt.Sprint(named["sha256"]), ownSecret)
			if status != http.StatusOK {
				t.Fatalf("the evidence %s: %d %s", name, status, body)
			}
			return string(body)
		}
	}
	t.Fatalf("the entry has no evidence %s: %v", name, list)
	return ""
}

// TestRemoteTenant has one sidecar watch another, whose death is an incident of
// its tenant alone, with what was pushed just before it.
func TestRemoteTenant(t *testing.T) {
	t.Parallel()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(api.Close)
	remote := startSidecar(t, api.URL, "--service", "payments")
	w := startWatching(t, api.URL, remote.admin)
	eventually(t, "the tenant's document should come", func() bool {
		_, body := w.ask(t, http.MethodGet, "/tenant/payments/shadow", paymentsSecret)
		_, health := w.ask(t, http.MethodGet, "/tenant/payments/health", paymentsSecret)
		return bytes.Contains(body, []byte(`"ready":true`)) && !bytes.Contains(health, []byte("target_down"))
	})

	w.mustKeepApart(t)
	if status, body := w.push(t, "delivery-1", ownSecret); status != http.StatusUnauthorized {
		t.Errorf("a push signed with another tenant's secret: %d %s", status, body)
	}
	if status, body := w.push(t, "delivery-2", paymentsSecret); status != http.StatusOK || !strings.Contains(body, `"added":1`) {
		t.Errorf("a push: %d %s", status, body)
	}
	if status, body := w.push(t, "delivery-2", paymentsSecret); status != http.StatusOK || !strings.Contains(body, `"duplicate":true`) {
		t.Errorf("the same push again: %d %s", status, body)
	}

	remote.kill()
	eventuallyWithin(t, 2*tick+patience, "the tenant's incident should be open", func() bool {
		_, body := w.ask(t, http.MethodGet, "/incidents?tenant=payments", paymentsSecret)
		return bytes.Contains(body, []byte("consecutive_failures"))
	})
	detected := w.entries(t, "incident.detected")
	if len(detected) != 1 || detected[0]["tenant_id"] != "payments" || detected[0]["stage"] != "DETECTED" {
		t.Fatalf("detected: %v", detected)
	}
	if changes := w.evidence(t, detected[0], "changes.json"); !strings.Contains(changes, "a1b2c3d") || !strings.Contains(changes, "isolation level") || !strings.Contains(changes, "migration") {
		t.Errorf("the changes before it are %s", changes)
	}
	if _, body := w.ask(t, http.MethodGet, "/incidents", ownSecret); !bytes.Contains(body, []byte(`"incidents":[]`)) {
		t.Errorf("the own tenant has an incident: %s", body)
	}
	if d := w.health(t); d.Status != "ok" {
		t.Errorf("the own service is %s", d.Status)
	}
	if text := w.printed(); strings.Contains(text, ownSecret) || strings.Contains(text, paymentsSecret) {
		t.Error("a secret is in the log")
	}
}

// mustKeepApart makes sure that a tenant's secret opens that tenant alone, and
// that what was refused is on record.
func (w *watching) mustKeepApart(t *testing.T) {
	t.Helper()
	for _, c := range []struct {
		method, path, secret string
		status               int
	}{
		{"GET", "/tenant/payments/shadow", "", 401},
		{"GET", "/tenant/payments/health", ownSecret, 403},
		{"GET", "/tenant/shop/shadow/report", paymentsSecret, 403},
		{"DELETE", "/tenant/shop/shadow", paymentsSecret, 403},
		{"GET", "/incidents", paymentsSecret, 403},
		{"GET", "/ledger/checkpoint", paymentsSecret, 403},
		{"GET", "/ledger/checkpoint", "", 401},
		{"GET", "/ledger/checkpoint", ownSecret, 200},
		{"GET", "/tenant/payments/shadow/report", paymentsSecret, 200},
	} {
		if status, body := w.ask(t, c.method, c.path, c.secret); status != c.status || bytes.Contains(body, []byte("secret-of-")) {
			t.Errorf("%s %s: %d %s, want %d", c.method, c.path, status, body, c.status)
		}
	}
	eventually(t, "what was refused should be on record", func() bool {
		kinds := map[string]bool{}
		for _, e := range w.entries(t, "access.denied") {
			m, _ := e["metadata"].(map[string]any)
			kinds[fmt.Sprint(e["tenant_id"], " ", m["what"], " ", m["status"])] = true
		}
		return kinds["payments GET /tenant/{tenant}/health 403"] && kinds["shop DELETE /tenant/{tenant}/shadow 403"] && kinds["shop GET /ledger/ 401"]
	})
}
