//go:build slow

package e2e

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/demo"
)

const askingSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// askingConfig has an action, a channel and as many contacts as are wanted.
const askingConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
actions:
  - name: reset
    title: Reset the API
    url: "http://%[2]s/demo/reset"
    secret_file: %[4]q
    allow_private: true
    idempotent: true
    risk: low
    gates: ["*"]
    approvals: %[5]d
channels:
  - id: inbox
    kind: webhook
    allow_private: true
    settings: {url: %[3]q, secret_file: %[4]q}
contacts:
  - {id: ana, name: Ana, channels: [inbox]}
  - {id: ben, name: Ben, channels: [inbox]}
`

// asking is a faulty API that a person can have mended.
type asking struct {
	*faulty
	knobs  *demo.Control
	inbox  *demo.Inbox
	public string // host:port
}

func startAsking(t *testing.T, approvals int) *asking {
	t.Helper()
	a, dir := &asking{public: freeAddress(t)}, t.TempDir()
	secret, file := filepath.Join(dir, "secret"), filepath.Join(dir, "config.yaml")
	var err error
	if a.inbox, err = demo.OpenInbox("127.0.0.1:0", askingSecret); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.inbox.Close)
	a.faulty = startFaultyIn(t, filepath.Join(dir, "data"), func(api *demo.API) []string {
		if a.knobs, err = demo.OpenControl("127.0.0.1:0", api, askingSecret); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.knobs.Close)
		for path, text := range map[string]string{
			secret: askingSecret, file: fmt.Sprintf(askingConfig, a.public, a.knobs.Addr(), a.inbox.URL(), secret, approvals),
		} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return []string{"--config", file}
	})
	return a
}

func (a *asking) live(t *testing.T) {
	t.Helper()
	a.awaitReady(t)
	a.command(t, "shadow", "off", "--admin", a.admin, "--data", a.data, "--who", "ana")
}

var linkInInbox = regexp.MustCompile(`<a href="([^"]+)"`)

// links are those in the inbox, the newest first.
func (a *asking) links(t *testing.T) []string {
	t.Helper()
	var links []string
	for _, m := range linkInInbox.FindAllStringSubmatch(string(get(t, "http://"+a.inbox.Addr()+"/")), -1) {
		links = append(links, html.UnescapeString(m[1]))
	}
	return links
}

// awaitLinks breaks the API and waits until people were asked.
func (a *asking) awaitLinks(t *testing.T, n int) []string {
	t.Helper()
	a.set(t, demo.Faults{LatencyMS: 4000})
	a.awaitStage(t, 8*tick, "VALIDATED")
	eventually(t, fmt.Sprintf("%d links should arrive", n), func() bool { return len(a.links(t)) == n })
	return a.links(t)
}

var hidden = regexp.MustCompile(`<input type="hidden" name="(token|code)" value="([^"]+)">`)

// form is what the page behind a link would send.
func form(t *testing.T, link string) url.Values {
	t.Helper()
	values := url.Values{}
	for _, m := range hidden.FindAllStringSubmatch(string(get(t, link)), -1) {
		values.Set(m[1], html.UnescapeString(m[2]))
	}
	if len(values) != 2 {
		t.Fatalf("the page has the fields %v", values)
	}
	return values
}

// tap sends a form as the page's button does.
func (a *asking) tap(client *http.Client, what string, values url.Values) (int, string, error) {
	r, err := http.NewRequest("POST", "http://"+a.public+"/action/recover/"+what, strings.NewReader(values.Encode()))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func (a *asking) mustTap(t *testing.T, what string, values url.Values, status int, want string) {
	t.Helper()
	if got, body, err := a.tap(http.DefaultClient, what, values); err != nil || got != status || !strings.Contains(body, want) {
		t.Errorf("%s: %d %v, want %d with %q\n%s", what, got, err, status, want, body)
	}
}

// mustHaveRun makes sure that the action was authorized and run just once.
func (a *asking) mustHaveRun(t *testing.T) {
	t.Helper()
	if n := a.knobs.Actions(); n != 1 {
		t.Errorf("the action was run %d times", n)
	}
	for _, kind := range []string{"incident.authorized", "incident.executed"} {
		if n := len(a.entries(t, kind)); n != 1 {
			t.Errorf("%d entries are %s", n, kind)
		}
	}
}

// mustBeMended waits until the action has helped, and makes sure of how it came to it.
func (a *asking) mustBeMended(t *testing.T) {
	t.Helper()
	ended := a.awaitStage(t, 12*tick, "RESOLVED")
	a.mustHaveRun(t)
	a.mustReplay(t, ended.ID)
}

// TestApprovalMendsTheAPI is the whole loop: break, be asked, look, approve, and
// see it run once, mend the API and verify.
func TestApprovalMendsTheAPI(t *testing.T) {
	t.Parallel()
	a := startAsking(t, 1)
	a.live(t)
	links := a.awaitLinks(t, 2)
	eventually(t, "four receipts should be on record", func() bool { return len(a.entries(t, "effect.receipt")) == 4 })
	if page := string(get(t, links[0])); !strings.Contains(page, "Slow: 95 of 100 requests take up to 4") {
		t.Errorf("the page does not say in plain words what is wrong:\n%s", page)
	}
	before := len(a.entries(t, ""))
	// Whoever fetches links without tapping changes nothing.
	for _, method := range []string{"GET", "HEAD", "GET"} {
		for _, link := range links {
			r, err := http.NewRequest(method, link, nil)
			if err != nil {
				t.Fatal(err)
			}
			if status, _ := answered(t, r); status != 200 {
				t.Errorf("%s: %d", method, status)
			}
		}
	}
	if now := len(a.entries(t, "")); now != before || a.knobs.Actions() != 0 {
		t.Fatalf("looking recorded %d entries and ran %d actions", now-before, a.knobs.Actions())
	}
	first, second := form(t, links[0]), form(t, links[1])
	a.mustTap(t, "confirm", first, 200, "Approved")
	a.mustTap(t, "confirm", second, 409, "Approved already")
	a.awaitRefusal(t, "used")
	a.mustTap(t, "confirm", first, 409, "Approved already")
	a.mustBeMended(t)
	eventually(t, "everybody should be told how it ended", func() bool {
		return strings.Count(string(get(t, "http://"+a.inbox.Addr()+"/")), "<article>") == 6
	})
	for _, e := range a.entries(t, "effect.receipt") {
		if e["decision"] == "dead" {
			t.Errorf("a dead letter: %v", e)
		}
	}
	t.Logf("peak RSS %.1f MiB", float64(peakRSS(t, a.cmd.Process.Pid))/(1<<20))
}

// TestApprovalByManyTapsAtOnce has a thousand taps on one link.
func TestApprovalByManyTapsAtOnce(t *testing.T) {
	t.Parallel()
	a := startAsking(t, 1)
	a.live(t)
	values := form(t, a.awaitLinks(t, 2)[0])
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, MaxConnsPerHost: 100}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var mu sync.Mutex
	answers := map[int]int{}
	for range 1000 {
		all.Go(func() {
			status, _, err := a.tap(client, "confirm", values)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	all.Wait()
	// Beyond the limit of the link they are told to wait.
	if answers[200] != 1 || answers[200]+answers[409]+answers[429] != 1000 {
		t.Errorf("the answers are %v", answers)
	}
	a.mustBeMended(t)
}

// TestApprovalByTwo needs two people, and kills the sidecar between their taps
// and right after the second.
func TestApprovalByTwo(t *testing.T) {
	t.Parallel()
	a := startAsking(t, 2)
	a.live(t)
	links := a.awaitLinks(t, 2)
	first, second := form(t, links[0]), form(t, links[1])
	a.mustTap(t, "confirm", first, 200, "Waiting for another approval")
	a.mustBeRefused(t, first, 403, "You have approved already", "same_person")
	a.crash(t)
	eventually(t, "decisions should be recorded again", func() bool {
		return strings.Contains(string(get(t, a.admin+"/status")), `"decisions":{"ready":true`)
	})
	a.mustTap(t, "confirm", second, 200, "Approved")
	a.crash(t)
	a.mustBeMended(t)
}

// TestApprovalIsRefused after the incident was rejected: nothing runs.
func TestApprovalIsRefused(t *testing.T) {
	t.Parallel()
	a := startAsking(t, 1)
	a.live(t)
	links := a.awaitLinks(t, 2)
	first, second := form(t, links[0]), form(t, links[1])
	first.Set("reason", "the cache is warming up")
	a.mustTap(t, "reject", first, 200, "Rejected")
	a.mustTap(t, "confirm", second, 409, "Rejected already")
	rejected := a.entries(t, "incident.rejected")
	if len(rejected) != 1 || a.knobs.Actions() != 0 || !strings.Contains(fmt.Sprint(rejected[0]), "the cache is warming up") {
		t.Errorf("rejected by %v, %d actions ran", rejected, a.knobs.Actions())
	}
	a.command(t, "ledger", "verify", a.admin+"/ledger/")
}
