package change

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

const secret = "It's a Secret to Everybody"

// inbox is a receiver and what it reported.
type inbox struct {
	*Receiver
	denied []string
}

func newInbox(store *Store) *inbox {
	in := &inbox{}
	in.Receiver = &Receiver{
		Store: store, Log: quiet(), Now: func() time.Time { return noon },
		Denied: func(tenant, what string, status int) {
			in.denied = append(in.denied, fmt.Sprint(tenant, " ", what, " ", status))
		},
	}
	return in
}

func sign(body, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func webhook(event, delivery, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/commits/webhook", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-GitHub-Event", event)
	r.Header.Set("X-GitHub-Delivery", delivery)
	r.Header.Set("X-Hub-Signature-256", sign(body, secret))
	return r
}

// reply is an answer with its JSON.
type reply struct {
	status int
	text   string
	receipt
	Error string
}

func serve(t *testing.T, handle func(http.ResponseWriter, *http.Request)) func(*http.Request) reply {
	return func(r *http.Request) reply {
		t.Helper()
		w := httptest.NewRecorder()
		handle(w, r)
		got := reply{status: w.Code, text: w.Body.String()}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Errorf("the answer is no JSON: %v\n%s", err, got.text)
		}
		if (got.status == http.StatusOK) != (got.Error == "") {
			t.Errorf("status %d with %s", got.status, got.text)
		}
		return got
	}
}

func (in *inbox) github(t *testing.T, r *http.Request) reply {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) { in.GitHub(w, r, "pay", secret) })(r)
}

// push is the payload of a push of these commits to main, at noon.
func push(commits ...string) string {
	return fmt.Sprintf(`{"ref":"refs/heads/main","before":"%s","after":"%s","created":false,"deleted":false,"forced":false,
		"compare":"https://github.com/acme/pay/compare/a...b","commits":[%s],"head_commit":null,
		"repository":{"full_name":"acme/pay","default_branch":"main","pushed_at":%d,"html_url":"https://github.com/acme/pay"},
		"pusher":{"name":"ana","email":"ana@example.com"}}`, sha(0), sha(1), strings.Join(commits, ","), noon.Unix())
}

func pushed(n int, message string, files ...string) string {
	f, _ := json.Marshal(append([]string{}, files...))
	m, _ := json.Marshal(message)
	return fmt.Sprintf(`{"id":"%s","distinct":true,"message":%s,"timestamp":"2026-02-20T15:20:41+02:00","url":"https://github.com/acme/pay/commit/%s",
		"author":{"name":"Ana","email":"a@example.com","username":"ana"},"added":[],"removed":[],"modified":%s}`, sha(n), m, sha(n), f)
}

// TestSignature: the example in GitHub's documentation, and everything that is
// not exactly that.
func TestSignature(t *testing.T) {
	const good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	for name, tc := range map[string]struct {
		headers []string
		secret  string
		want    int
	}{
		"GitHub's example":       {[]string{good}, secret, 200},
		"missing":                {nil, secret, 401},
		"empty":                  {[]string{""}, secret, 401},
		"short":                  {[]string{good[:len(good)-2]}, secret, 401},
		"only its name":          {[]string{"sha256="}, secret, 401},
		"upper case":             {[]string{strings.ToUpper(good)}, secret, 401},
		"upper-case digits":      {[]string{"sha256=" + strings.ToUpper(good[7:])}, secret, 401},
		"without its name":       {[]string{good[7:]}, secret, 401},
		"twice":                  {[]string{good, good}, secret, 401},
		"another tenant's":       {[]string{sign("Hello, World!", "another secret")}, secret, 401},
		"the secret with a line": {[]string{good}, secret + "\n", 401},
		"no secret, none given":  {nil, "", 401},
		"no secret, empty key":   {[]string{sign("Hello, World!", "")}, "", 401},
		"blank secret":           {[]string{sign("Hello, World!", " \n")}, " \n", 401},
	} {
		got := 200
		err := verifySignature(http.Header{"X-Hub-Signature-256": tc.headers}, []byte("Hello, World!"), tc.secret)
		if refused, ok := err.(*refusal); ok {
			got = refused.status
		}
		if got != tc.want {
			t.Errorf("%s: %d (%v), want %d", name, got, err, tc.want)
		}
	}
}

func TestPush(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	got := in.github(t, webhook("push", "d1", push(pushed(1, "One"), pushed(2, "Fix checkout query isolation level\n\nLong story.", "db/orders.sql", "main.go"))))
	if got.status != 200 || got.Added != 2 || got.Duplicate {
		t.Fatal(got.text)
	}
	changes := in.Store.Before("pay", noon, 10*time.Minute)
	expect(t, "newest first", changes, "Fix checkout query isolation level", "One")
	want := `0s earlier — ` + short(sha(2)) + ` "Fix checkout query isolation level" (Ana) · touches database files`
	if line := changes[0].Line(noon); line != want {
		t.Errorf("got %s, want %s", line, want)
	}
	if got := in.github(t, webhook("push", "d1", push(pushed(3, "Three")))); !got.Duplicate || got.Added != 0 || got.status != 200 {
		t.Error("the delivery was taken again:", got.text)
	}
	if got := in.github(t, webhook("push", "d2", push(pushed(1, "One")))); !got.Duplicate || got.Added != 0 {
		t.Error("the commit was taken again:", got.text)
	}
	if len(in.Store.Recent("pay", 9)) != 2 || len(in.Store.Recent("other", 9)) != 0 {
		t.Error(titles(in.Store.Recent("pay", 9)))
	}
}

func TestPushThatIsNoChange(t *testing.T) {
	forced := strings.NewReplacer(`"forced":false`, `"forced":true`, `"head_commit":null`, `"head_commit":`+pushed(7, "As it was", "config/a.yaml"))
	for name, tc := range map[string]struct {
		body, branch string
		want         []string
		ignored      string
	}{
		"a tag":                     {strings.Replace(push(pushed(1, "One")), "refs/heads/main", "refs/tags/v1", 1), "", nil, "tag"},
		"a deleted branch":          {strings.Replace(push(), `"deleted":false`, `"deleted":true`, 1), "", nil, "deleted"},
		"another branch":            {strings.Replace(push(pushed(1, "One")), "refs/heads/main", "refs/heads/topic", 1), "", nil, "main"},
		"not the configured branch": {push(pushed(1, "One")), "release", nil, "release"},
		"the configured branch":     {strings.Replace(push(pushed(1, "One")), "refs/heads/main", "refs/heads/release", 1), "release", []string{"One"}, ""},
		"any branch":                {strings.Replace(push(pushed(1, "One")), "refs/heads/main", "refs/heads/a/b", 1), "*", []string{"One"}, ""},
		"no default branch told":    {strings.Replace(push(pushed(1, "One")), `"default_branch":"main",`, "", 1), "", []string{"One"}, ""},
		"no commits":                {push(), "", nil, "no commits"},
		"forced with commits":       {forced.Replace(push(pushed(1, "One"))), "", []string{"One"}, ""},
		"forced back":               {forced.Replace(push()), "", []string{"main forced to: As it was"}, ""},
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		in.Branch = tc.branch
		got := in.github(t, webhook("push", "d1", tc.body))
		if got.status != 200 || (got.Ignored == "") != (tc.ignored == "") || !strings.Contains(got.Ignored, tc.ignored) {
			t.Errorf("%s: %s", name, got.text)
		}
		expect(t, name, in.Store.Recent("pay", 9), tc.want...)
	}
}

func TestPushTimes(t *testing.T) {
	for name, tc := range map[string]struct {
		pushedAt string
		want     time.Time // zero: not kept
	}{
		"seconds":            {fmt.Sprint(noon.Add(-time.Minute).Unix()), noon.Add(-time.Minute)},
		"a text":             {`"2026-03-02T11:58:00Z"`, noon.Add(-2 * time.Minute)},
		"the future":         {fmt.Sprint(noon.Add(time.Hour).Unix()), noon},
		"the distant future": {"99999999999999999999999", noon},
		"negative":           {"-5", noon},
		"a fraction":         {"1.5e9", noon},
		"null":               {"null", noon},
		"an object":          {`{"a":[1]}`, noon},
		"a redelivery":       {fmt.Sprint(noon.Add(-8 * 24 * time.Hour).Unix()), time.Time{}},
		"1970":               {"1", time.Time{}},
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		got := in.github(t, webhook("push", "d1", strings.Replace(push(pushed(1, "One")), fmt.Sprint(noon.Unix()), tc.pushedAt, 1)))
		changes := in.Store.Recent("pay", 1)
		if got.status != 200 || len(changes) == 0 != tc.want.IsZero() || len(changes) > 0 && !changes[0].At.Equal(tc.want) {
			t.Errorf("%s: %s %+v", name, got.text, changes)
		}
	}
}

func TestLargePush(t *testing.T) {
	var all []string
	for n := range 2000 {
		all = append(all, fmt.Sprintf(`{"id":"%s","message":"Commit %d","author":{"name":"a"}}`, sha(n), n))
	}
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	if got := in.github(t, webhook("push", "d1", push(all...))); got.Added != maxPush {
		t.Error(got.text)
	}
	if got := in.Store.Recent("pay", 1); got[0].Title != "Commit 1999" {
		t.Error(titles(got))
	}
}

func TestDeployments(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	body := func(status string) string {
		return fmt.Sprintf(`{"action":"created",%s"deployment":{"id":145988746,"sha":"%s","ref":"main","task":"deploy","environment":"production","description":null,
			"creator":{"login":"ana"},"created_at":"2026-03-02T11:50:00Z"},"repository":{"full_name":"Acme/Pay","pushed_at":"2026-03-02T11:00:00Z","html_url":"https://github.com/Acme/Pay"}}`, status, sha(1))
	}
	status := func(state string) string {
		return body(`"deployment_status":{"state":"` + state + `","log_url":"","target_url":"https://deploy.example/1","created_at":"2026-03-02T11:55:00Z","creator":{"login":"bot"}},`)
	}
	if got := in.github(t, webhook("deployment", "d1", body(""))); got.Added != 1 {
		t.Fatal(got.text)
	}
	for _, state := range []string{"queued", "pending", "waiting", "inactive", "nonsense", ""} {
		if got := in.github(t, webhook("deployment_status", "d-"+state+"x", status(state))); got.Added != 0 || got.Ignored == "" {
			t.Errorf("%q: %s", state, got.text)
		}
	}
	if got := in.github(t, webhook("deployment_status", "d3", status("success"))); got.Added != 1 {
		t.Fatal(got.text)
	}
	if got := in.github(t, webhook("deployment_status", "d4", status("success"))); !got.Duplicate {
		t.Error(got.text)
	}
	changes := in.Store.Before("pay", noon, 10*time.Minute)
	if len(changes) != 1 || changes[0].Line(noon) != `5m earlier — deployment `+short(sha(1))+` "Deployment to production: succeeded" (ana)` || changes[0].URL != "https://deploy.example/1" {
		t.Errorf("%+v", changes)
	}
}

func TestWebhookRefusals(t *testing.T) {
	body := push(pushed(1, "One"))
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for name, tc := range map[string]struct {
		request func() *http.Request
		status  int
		says    string
	}{
		"no signature": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Header.Del("X-Hub-Signature-256")
			return r
		}, 401, "X-Hub-Signature-256"},
		"only SHA-1": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1=0123456789012345678901234567890123456789")
			return r
		}, 401, "X-Hub-Signature-256"},
		"another body": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Body = io.NopCloser(strings.NewReader(body + " "))
			return r
		}, 401, "does not fit"},
		"not JSON":       {func() *http.Request { return webhook("push", "d", "nonsense") }, 400, "not JSON"},
		"half":           {func() *http.Request { return webhook("push", "d", body[:len(body)/2]) }, 400, "not JSON"},
		"two values":     {func() *http.Request { return webhook("push", "d", body+body) }, 400, "follows"},
		"nothing":        {func() *http.Request { return webhook("push", "d", "") }, 400, "not JSON"},
		"no push":        {func() *http.Request { return webhook("push", "d", "{}") }, 400, `"ref"`},
		"an array":       {func() *http.Request { return webhook("push", "d", "[]") }, 400, "array"},
		"a wrong type":   {func() *http.Request { return webhook("push", "d", `{"ref":7}`) }, 400, `"ref"`},
		"a key twice":    {func() *http.Request { return webhook("push", "d", `{"ref":"refs/heads/a","ref":"refs/heads/main"}`) }, 400, `"ref" twice`},
		"nested deeply":  {func() *http.Request { return webhook("push", "d", deep) }, 400, "nested"},
		"not UTF-8":      {func() *http.Request { return webhook("push", "d", strings.Replace(body, "One", "\xff", 1)) }, 400, "UTF-8"},
		"no commit hash": {func() *http.Request { return webhook("push", "d", strings.ReplaceAll(body, sha(1), "../../x")) }, 400, "commits.id"},
		"no deployment":  {func() *http.Request { return webhook("deployment", "d", "{}") }, 400, "deployment.id"},
		"no event": {func() *http.Request {
			r := webhook("", "d", body)
			return r
		}, 400, "X-GitHub-Event"},
		"no delivery":   {func() *http.Request { return webhook("push", "", body) }, 400, "X-GitHub-Delivery"},
		"long delivery": {func() *http.Request { return webhook("push", strings.Repeat("d", 65), body) }, 400, "X-GitHub-Delivery"},
		"odd delivery":  {func() *http.Request { return webhook("push", "d/../\u202e", body) }, 400, "X-GitHub-Delivery"},
		"XML": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Header.Set("Content-Type", "text/xml")
			return r
		}, 415, "text/xml"},
		"no content type": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Header.Del("Content-Type")
			return r
		}, 415, "Content-Type"},
		"another charset": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Header.Set("Content-Type", "application/json; charset=utf-16")
			return r
		}, 415, "UTF-8"},
		"a form of JSON": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return r
		}, 400, "payload"},
		"GET": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Method = http.MethodGet
			return r
		}, 405, "POST"},
		"large by its own word": {func() *http.Request {
			return webhook("push", "d", strings.Repeat(" ", MaxBody+1))
		}, 413, "larger"},
		"large without a word": {func() *http.Request {
			r := webhook("push", "d", body)
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(spaces{}, 1<<30)), -1
			return r
		}, 413, "larger"},
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		got := in.github(t, tc.request())
		if got.status != tc.status || !strings.Contains(got.Error, tc.says) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
		if len(in.Store.Recent("pay", 1)) > 0 {
			t.Errorf("%s: kept", name)
		}
		if told := strings.Join(in.denied, ","); (tc.status == 401) != (told == "pay webhook 401") {
			t.Errorf("%s: denied %q", name, told)
		}
		// A refused delivery can be sent again.
		if again := in.github(t, webhook("push", "d", body)); again.Added != 1 {
			t.Errorf("%s: and then the right one: %s", name, again.text)
		}
	}
}

// spaces is an endless body.
type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestWebhookWithoutASecret(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	r := webhook("push", "d", push(pushed(1, "One")))
	r.Header.Set("X-Hub-Signature-256", sign(push(pushed(1, "One")), ""))
	got := serve(t, func(w http.ResponseWriter, r *http.Request) { in.GitHub(w, r, "pay", "") })(r)
	if got.status != 401 || len(in.denied) != 1 || len(in.Store.Recent("pay", 1)) != 0 {
		t.Error(got.text, in.denied)
	}
}

func TestWebhookAsAForm(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	r := webhook("push", "d", url.Values{"payload": {push(pushed(1, "Größe & more"))}}.Encode())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if got := in.github(t, r); got.Added != 1 {
		t.Error(got.text)
	}
	expect(t, "from a form", in.Store.Recent("pay", 1), "Größe & more")
}

func TestOtherWebhooks(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	for _, event := range []string{"ping", "issues", "../push"} {
		if got := in.github(t, webhook(event, "d-"+strings.Trim(event, "./"), `{"zen":"Design for failure."}`)); got.status != 200 || got.Ignored == "" || got.Added != 0 {
			t.Errorf("%s: %s", event, got.text)
		}
	}
}

func TestReplayAfterARestart(t *testing.T) {
	name := filepath.Join(t.TempDir(), "changes.jsonl")
	at := noon
	for i := range 3 {
		store := Open(name, func() time.Time { return at }, quiet())
		got := newInbox(store).github(t, webhook("push", "d1", push(pushed(i, "One"))))
		if got.status != 200 || got.Duplicate != (i > 0) || got.Added != map[bool]int{true: 0, false: 1}[i > 0] {
			t.Errorf("start %d: %s", i, got.text)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Hour)
	}
}

// FuzzWebhook: whatever a payload says, it is refused with a reason or makes
// changes that can be kept.
func FuzzWebhook(f *testing.F) {
	f.Add("push", []byte(push(pushed(1, "One", "db/a.sql"))))
	f.Add("push", []byte(`{"ref":"refs/heads/main","forced":true,"head_commit":{"id":"`+sha(1)+`"}}`))
	f.Add("deployment_status", []byte(`{"deployment":{"id":1,"sha":"x"},"deployment_status":{"state":"success"},"repository":{"full_name":"a/b"}}`))
	f.Fuzz(func(t *testing.T, event string, payload []byte) {
		changes, ignored, err := readWebhook(event, payload, "pay", "", noon)
		if err != nil {
			if refused, ok := err.(*refusal); !ok || refused.status != 400 || len(changes) > 0 {
				t.Errorf("%v with %d changes", err, len(changes))
			}
			return
		}
		if (len(changes) == 0) != (ignored != "") || len(changes) > maxPush {
			t.Errorf("%d changes, ignored %q", len(changes), ignored)
		}
		for _, c := range changes {
			if _, err := tidy(c); err != nil && len(c.ID) <= maxID && c.ID == plain.Line(c.ID, maxID) {
				t.Error(err)
			}
		}
	})
}
