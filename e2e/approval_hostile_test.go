//go:build slow

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/countersign-dev/countersign/demo"
)

const (
	hostile       = `"'></title></pre><script>x</script>{{secret}}\u0022},{"a":` + "\u202e"
	hookToken     = "hook-token-9fK2mQ7xW4"
	hostileConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
actions:
  - name: reset
    url: %[2]q
    secret_file: %[4]q
    allow_private: true
    risk: low
    gates: ["*"]
    headers:
      X-Service: "{{service}}"
      X-Reason: "{{reason}}"
      Authorization: {secret_file: %[5]q, prefix: "Bearer "}
    body: '{"service":"{{service}}","reason":"{{reason}}","cause":"{{cause}}","by":"{{approver}}"}'
channels:
  - id: inbox
    kind: webhook
    allow_private: true
    settings: {url: %[3]q, secret_file: %[4]q}
contacts:
  - {id: ana, name: '<b>Ana</b>', channels: [inbox]}
`
)

// hook is the other side of an action: it keeps what it got, and answers with all
// of it.
type hook struct {
	mu   sync.Mutex
	got  []*http.Request // guarded by mu
	body []string        // guarded by mu
	then func()
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.got, h.body = append(h.got, r), append(h.body, string(body))
	h.mu.Unlock()
	h.then()
	fmt.Fprintf(w, "%v %s %s", r.Header, body, askingSecret)
}

// TestApprovalOfHostileTexts has markup, quotes and line breaks wherever others
// write something, and an other side that repeats every secret: they are text on
// the page, one value in the request, and no secret is kept or told.
func TestApprovalOfHostileTexts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	secret, token, file := filepath.Join(dir, "key"), filepath.Join(dir, "token"), filepath.Join(dir, "config.yaml")
	inbox, err := demo.OpenInbox("127.0.0.1:0", askingSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inbox.Close)
	a := &asking{public: freeAddress(t), inbox: inbox}
	h := &hook{then: func() {
		if err := a.api.SetFaults(demo.Faults{}); err != nil {
			t.Error(err)
		}
	}}
	other := httptest.NewServer(h)
	t.Cleanup(other.Close)
	a.faulty = startFaultyIn(t, filepath.Join(dir, "data"), func(*demo.API) []string {
		for path, text := range map[string]string{
			secret: askingSecret, token: hookToken, file: fmt.Sprintf(hostileConfig, a.public, other.URL, inbox.URL(), secret, token),
		} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return []string{"--config", file, "--service", `shop <i>"&`}
	})
	a.live(t)
	a.tellOfChange(t, hostile+"\r\nX-Evil: 1", "a/"+hostile+".go")
	link := a.awaitLinks(t, 1)[0]
	page := string(get(t, link))
	if !strings.Contains(page, "&lt;script&gt;") || !strings.Contains(page, "&lt;b&gt;Ana") {
		t.Errorf("the page does not show what others wrote:\n%s", page)
	}
	for _, never := range []string{"<script", "<i>", "<b>Ana", "\u202e", hookToken, strings.TrimPrefix(askingSecret, "whsec_")} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q:\n%s", never, page)
		}
	}
	values := form(t, link)
	values.Set("reason", hostile+"\r\n"+strings.Repeat("x", 700))
	a.mustTap(t, "confirm", values, 200, "Approved")
	ended := a.awaitStage(t, 12*tick, "RESOLVED")
	a.mustReplay(t, ended.ID)
	h.mustBeWhole(t)
	a.mustKeepNoSecret(t, values.Get("token"), hookToken, strings.TrimPrefix(askingSecret, "whsec_"))
}

// tellOfChange tells the sidecar of a commit.
func (a *asking) tellOfChange(t *testing.T, title, path string) {
	t.Helper()
	own, err := os.ReadFile(filepath.Join(a.data, "secret"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("POST", a.admin+"/commits/local", strings.NewReader(url.Values{
		"sha": {"a1b2c3d4e5f6"}, "title": {title}, "author": {hostile}, "files": {path},
	}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Tenant-Secret", strings.TrimSpace(string(own)))
	if status, body := answered(t, r); status >= 300 {
		t.Fatalf("%d %s", status, body)
	}
}

// mustBeWhole makes sure that there was one request, whose values are values.
func (h *hook) mustBeWhole(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.got) != 1 {
		t.Fatalf("%d requests came", len(h.got))
	}
	var body map[string]string
	if err := json.Unmarshal([]byte(h.body[0]), &body); err != nil || len(body) != 4 || body["service"] != `shop <i>"&` || body["by"] != "ana" {
		t.Errorf("%v %q", err, h.body[0])
	}
	r := h.got[0]
	if r.Header.Get("X-Evil") != "" || r.Header.Get("X-Service") != `shop <i>"&` || r.Header.Get("Authorization") != "Bearer "+hookToken || r.Header.Get("Webhook-Signature") == "" {
		t.Errorf("%v", r.Header)
	}
}

// mustKeepNoSecret looks for secrets in everything that the sidecar has written
// and answers. What holds them by intention is not looked at.
func (a *asking) mustKeepNoSecret(t *testing.T, secrets ...string) {
	t.Helper()
	places := map[string][]byte{"the log": []byte(a.printed())}
	for _, path := range []string{"/status", "/incidents", "/metrics"} {
		places[path] = get(t, a.admin+path)
	}
	entries, err := json.Marshal(a.entries(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	places["the ledger"] = entries
	err = filepath.WalkDir(a.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		places[path] = text
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(places) < 8 || !bytes.Contains(entries, []byte("***")) {
		t.Errorf("too little was looked at: %d places, %s", len(places), entries)
	}
	for place, text := range places {
		for _, secret := range secrets {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("%s has %s", place, secret)
			}
		}
	}
}
