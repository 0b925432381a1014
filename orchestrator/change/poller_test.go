package change

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// hub is a GitHub of one repository.
type hub struct {
	*httptest.Server
	token       string
	commits     []hubCommit // newest first
	deployments string
	pageSize    int
	// answer takes the next request when it is set, and says whether it did.
	answer func(w http.ResponseWriter, r *http.Request) bool

	asked []string // path and, where it matters, page
}

type hubCommit struct {
	n     int
	made  time.Time
	title string
	files []string
	lines int
}

func newHub(t *testing.T) *hub {
	h := &hub{token: "ghp_test", deployments: "[]", pageSize: perPage}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v3/repos/acme/pay/")
	note := path
	if page := r.URL.Query().Get("page"); page != "" {
		note += " " + page
	}
	h.asked = append(h.asked, note)
	if h.answer != nil && h.answer(w, r) {
		return
	}
	if got := r.Header.Get("Authorization"); got != "Bearer "+h.token || r.Header.Get("Accept") != "application/vnd.github+json" || r.Header.Get("User-Agent") == "" {
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	var body string
	switch {
	case path == "commits":
		body = h.list(w, r)
	case path == "deployments":
		body = h.deployments
	case strings.HasPrefix(path, "commits/"):
		for _, c := range h.commits {
			if strings.TrimPrefix(path, "commits/") == sha(c.n) {
				body = h.detail(c)
			}
		}
	}
	if body == "" {
		http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
		return
	}
	etag := fmt.Sprintf(`W/"%x"`, len(body)*31+int(body[len(body)/2]))
	w.Header().Set("ETag", etag)
	w.Header().Set("X-RateLimit-Remaining", "4999")
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(body))
}

func (h *hub) list(w http.ResponseWriter, r *http.Request) string {
	page := 1
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
	from := min((page-1)*h.pageSize, len(h.commits))
	to := min(from+h.pageSize, len(h.commits))
	if to < len(h.commits) {
		next := *r.URL
		q := next.Query()
		q.Set("page", fmt.Sprint(page+1))
		next.RawQuery = q.Encode()
		w.Header().Set("Link", fmt.Sprintf(`<%s/first>; rel="first", <%s%s>; rel="next", <%s/last>; rel="last"`, h.URL, h.URL, next.String(), h.URL))
	}
	var all []string
	for _, c := range h.commits[from:to] {
		all = append(all, c.json(""))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func (c hubCommit) json(more string) string {
	title, _ := json.Marshal(c.title + "\n\nbody")
	return fmt.Sprintf(`{"sha":"%s","node_id":"x","html_url":"https://github.com/acme/pay/commit/%s","commit":{"message":%s,"author":{"name":"Ana","date":"2020-01-01T00:00:00Z"},
		"committer":{"name":"GitHub","date":"%s"},"verification":{"payload":null}},"author":null,"parents":[]%s}`, sha(c.n), sha(c.n), title, c.made.Format(time.RFC3339), more)
}

func (h *hub) detail(c hubCommit) string {
	var files []string
	for _, f := range c.files {
		files = append(files, fmt.Sprintf(`{"filename":"%s","status":"modified","additions":1,"patch":"@@ -1 +1 @@"}`, f))
	}
	return c.json(fmt.Sprintf(`,"stats":{"total":%d,"additions":%d,"deletions":1},"files":[%s]`, c.lines+1, c.lines, strings.Join(files, ",")))
}

// since is what was asked since the last time.
func (h *hub) since() []string {
	asked := h.asked
	h.asked = nil
	return asked
}

type polled struct {
	*Poller
	*clock
	store *Store
	log   *bytes.Buffer
}

func newPolled(t *testing.T, h *hub, alter func(*PollerConfig)) *polled {
	t.Helper()
	p := &polled{clock: &clock{noon}, log: &bytes.Buffer{}}
	p.store = Open("", p.now, quiet())
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte("ghp_test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := PollerConfig{
		Tenant: "pay", Store: p.store, Repo: "acme/pay", API: h.URL + "/api/v3/", TokenFile: tokenFile,
		Log: slog.New(slog.NewTextHandler(p.log, nil)), Now: p.now,
	}
	if alter != nil {
		alter(&cfg)
	}
	var err error
	if p.Poller, err = NewPoller(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.api.close)
	return p
}

func TestPoll(t *testing.T) {
	h := newHub(t)
	h.commits = []hubCommit{{2, noon.Add(-3 * time.Minute), "Fix checkout query isolation level", []string{"db/orders.sql", "main.go"}, 12}, {1, noon.Add(-time.Hour), "One", nil, 0}}
	h.deployments = `[{"id":7,"sha":"` + sha(2) + `","ref":"main","task":"deploy","environment":"production","creator":{"login":"ana"},"created_at":"2026-03-02T11:59:00Z","payload":{}}]`
	p := newPolled(t, h, nil)
	if pause := p.poll(t.Context()); pause != time.Minute || p.Problem() != "" {
		t.Fatal(pause, p.Problem())
	}
	var lines []string
	for _, c := range p.store.Recent("pay", 9) {
		lines = append(lines, c.Line(noon))
	}
	want := []string{
		`1m earlier — deployment ` + short(sha(2)) + ` "Deployment to production" (ana)`,
		`3m earlier — ` + short(sha(2)) + ` "Fix checkout query isolation level" (Ana, +12/−1) · touches database files`,
		`1h earlier — ` + short(sha(1)) + ` "One" (Ana, +0/−1)`,
	}
	if !reflect.DeepEqual(lines, want) {
		t.Errorf("got  %q\nwant %q", lines, want)
	}
	if got := h.since(); !reflect.DeepEqual(got, []string{"commits", "commits/" + sha(2), "commits/" + sha(1), "deployments"}) {
		t.Errorf("asked %q", got)
	}

	// Nothing new: both lists are not modified.
	p.at = noon.Add(time.Minute)
	p.poll(t.Context())
	if got := h.since(); !reflect.DeepEqual(got, []string{"commits", "deployments"}) {
		t.Errorf("asked %q", got)
	}

	// One made long ago and pushed just now changed something just now.
	h.commits = append([]hubCommit{{3, noon.Add(-48 * time.Hour), "Merged at last", nil, 1}}, h.commits...)
	p.at = noon.Add(2 * time.Minute)
	p.poll(t.Context())
	if got := h.since(); !reflect.DeepEqual(got, []string{"commits", "commits/" + sha(3), "deployments"}) {
		t.Errorf("asked %q", got)
	}
	if got := p.store.Recent("pay", 1)[0]; got.Title != "Merged at last" || !got.At.Equal(noon.Add(time.Minute)) {
		t.Errorf("%+v", got)
	}
}

func TestPollAfterTheWebhook(t *testing.T) {
	h := newHub(t)
	h.commits = []hubCommit{{1, noon.Add(-time.Minute), "One", []string{"db/a.sql"}, 12}}
	p := newPolled(t, h, nil)
	if got := newInbox(p.store).github(t, webhook("push", "d1", push(pushed(1, "One", "db/a.sql")))); got.Added != 1 {
		t.Fatal(got.text)
	}
	p.poll(t.Context())
	got := p.store.Recent("pay", 9)
	if len(got) != 1 || got[0].Source != "github" || got[0].Added != 12 || !got[0].At.Equal(noon) {
		t.Errorf("%+v", got)
	}
}

func TestPollPages(t *testing.T) {
	h := newHub(t)
	h.pageSize = 10
	for n := range 100 {
		h.commits = append(h.commits, hubCommit{n, noon.Add(-time.Duration(n+1) * time.Minute), fmt.Sprint("Commit ", n), nil, 1})
	}
	p := newPolled(t, h, nil)
	p.poll(t.Context())
	asked := h.since()
	if got := len(p.store.Recent("pay", 200)); got != maxPages*10 || len(asked) != maxPages+tokenDetails+1 || asked[1] != "commits 2" || asked[2] != "commits 3" {
		t.Errorf("%d are kept, asked %q", got, asked)
	}
	// A page with nothing new on it is the last that is asked for.
	h.commits = append([]hubCommit{{100, noon, "New", nil, 1}}, h.commits...)
	p.at = noon.Add(time.Minute)
	p.poll(t.Context())
	if got := h.since(); !reflect.DeepEqual(got, []string{"commits", "commits 2", "commits/" + sha(100), "deployments"}) {
		t.Errorf("asked %q", got)
	}
}

func TestPollAsksForTheBranchAndADay(t *testing.T) {
	h := newHub(t)
	var queries []url.Values
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		queries = append(queries, r.URL.Query())
		return false
	}
	p := newPolled(t, h, func(c *PollerConfig) { c.Branch = "release/2 & more" })
	for range 2 {
		p.poll(t.Context())
		p.at = p.at.Add(11 * time.Hour)
	}
	want := url.Values{"sha": {"release/2 & more"}, "since": {"2026-02-24T00:00:00Z"}, "per_page": {"100"}}
	if !reflect.DeepEqual(queries[0], want) || !reflect.DeepEqual(queries[2], want) {
		t.Errorf("asked %v", queries)
	}
}

func TestPollLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		status  int
		header  map[string]string
		message string
		want    time.Duration
		says    string
	}{
		"used up":                   {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(noon.Add(10 * time.Minute).Unix())}, "API rate limit exceeded", 10*time.Minute + time.Second, "no more requests"},
		"used up, by 429":           {429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": fmt.Sprint(noon.Add(10 * time.Minute).Unix())}, "", 10*time.Minute + time.Second, "no more requests"},
		"used up, no reset":         {403, map[string]string{"X-RateLimit-Remaining": "0"}, "", time.Minute, "no more requests"},
		"used up, absurd reset":     {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999999"}, "", time.Minute, "no more requests"},
		"used up, distant reset":    {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}, "", maxLimited, "no more requests"},
		"used up, past reset":       {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1000"}, "", time.Minute, "no more requests"},
		"secondary":                 {403, map[string]string{"Retry-After": "120", "X-RateLimit-Remaining": "4000"}, "You have exceeded a secondary rate limit", 2 * time.Minute, "secondary"},
		"secondary, by 429":         {429, map[string]string{"Retry-After": "120"}, "", 2 * time.Minute, "no more requests"},
		"secondary, at a time":      {429, map[string]string{"Retry-After": noon.Add(5 * time.Minute).Format(http.TimeFormat)}, "", 5 * time.Minute, "no more requests"},
		"secondary, absurd":         {429, map[string]string{"Retry-After": "2147483647"}, "", maxLimited, "no more requests"},
		"secondary, nonsense":       {429, map[string]string{"Retry-After": "-1"}, "", time.Minute, "no more requests"},
		"secondary, without a word": {403, nil, "You have exceeded a secondary rate limit.", time.Minute, "secondary"},
		"forbidden":                 {403, nil, "Resource not accessible by personal access token", time.Minute, "permission"},
		"no token":                  {401, nil, "Bad credentials", time.Minute, "expired"},
		"not there":                 {404, nil, "Not Found", time.Minute, "does not exist"},
		"empty":                     {409, nil, "Git Repository is empty.", time.Minute, "empty"},
		"broken":                    {502, nil, "", time.Minute, "502"},
		"odd":                       {200, nil, "", time.Minute, "documented"},
		"unasked 304":               {304, nil, "", time.Minute, "304"},
		"hostile":                   {500, nil, "\x1b[2J\u202e", time.Minute, "(Internal Server Error)"},
	} {
		h := newHub(t)
		h.answer = func(w http.ResponseWriter, r *http.Request) bool {
			for k, v := range tc.header {
				w.Header().Set(k, v)
			}
			w.WriteHeader(tc.status)
			if tc.status != 304 {
				_ = json.NewEncoder(w).Encode(map[string]string{"message": strings.TrimPrefix(tc.message, "\x1b[2J")})
			}
			return true
		}
		p := newPolled(t, h, nil)
		if got := p.poll(t.Context()); got != tc.want || !strings.Contains(p.Problem(), tc.says) {
			t.Errorf("%s: %s, %q", name, got, p.Problem())
		}
		if len(h.since()) != 1 {
			t.Errorf("%s: went on asking", name)
		}
	}
}

func TestPollBacksOffAndComesBack(t *testing.T) {
	h := newHub(t)
	h.commits = []hubCommit{{1, noon, "One", nil, 1}}
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		w.WriteHeader(500)
		return true
	}
	p := newPolled(t, h, nil)
	var pauses []time.Duration
	for range 6 {
		pauses = append(pauses, p.poll(t.Context()))
	}
	if want := []time.Duration{1 * time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, maxBackoff, maxBackoff}; !reflect.DeepEqual(pauses, want) {
		t.Errorf("waits %s", pauses)
	}
	if n := strings.Count(p.log.String(), "level=WARN"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, p.log)
	}
	h.answer = nil
	if pause := p.poll(t.Context()); pause != time.Minute || p.Problem() != "" || !strings.Contains(p.log.String(), "again") {
		t.Error(pause, p.Problem(), p.log)
	}
	expect(t, "afterwards", p.store.Recent("pay", 9), "One")

	// The last request of the hour: wait for the next hour, without a problem.
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("X-RateLimit-Remaining", "0")
		w.Header().Set("X-RateLimit-Reset", fmt.Sprint(noon.Add(20*time.Minute).Unix()))
		_, _ = w.Write([]byte("[]"))
		return true
	}
	if pause := p.poll(t.Context()); pause != 20*time.Minute+time.Second || p.Problem() != "" {
		t.Error(pause, p.Problem())
	}
}

// TestPollGoesOnWhereItStopped: a limit in the midst of the details loses nothing.
func TestPollGoesOnWhereItStopped(t *testing.T) {
	h := newHub(t)
	for n := range 5 {
		h.commits = append(h.commits, hubCommit{n, noon.Add(-time.Duration(n) * time.Minute), fmt.Sprint("Commit ", n), []string{"db/a.sql"}, n + 1})
	}
	p := newPolled(t, h, nil)
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if len(h.asked) < 4 {
			return false
		}
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(403)
		return true
	}
	p.poll(t.Context())
	if got := p.store.Recent("pay", 9); len(got) != 5 || got[1].Added != 2 || got[2].Added != 0 {
		t.Errorf("%+v", got)
	}
	h.since()
	h.answer = nil
	p.at = noon.Add(time.Minute)
	p.poll(t.Context())
	if got := h.since(); !reflect.DeepEqual(got, []string{"commits", "commits/" + sha(2), "commits/" + sha(3), "commits/" + sha(4), "deployments"}) {
		t.Errorf("asked %q", got)
	}
	for _, c := range p.store.Recent("pay", 9) {
		if c.Added == 0 || c.At.After(noon) {
			t.Errorf("%+v", c)
		}
	}
}

func TestPollWithoutDeployments(t *testing.T) {
	h := newHub(t)
	h.commits = []hubCommit{{1, noon, "One", nil, 1}}
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/deployments") {
			return false
		}
		w.WriteHeader(403)
		_, _ = w.Write([]byte(`{"message":"Resource not accessible by personal access token"}`))
		return true
	}
	p := newPolled(t, h, nil)
	p.poll(t.Context())
	p.poll(t.Context())
	if got := h.since(); p.Problem() != "" || strings.Count(strings.Join(got, " "), "deployments") != 1 {
		t.Error(p.Problem(), got)
	}
	p.at = noon.Add(maxLimited)
	p.poll(t.Context())
	if got := h.since(); strings.Count(strings.Join(got, " "), "deployments") != 1 {
		t.Error(got)
	}
}

func TestPollHostileAnswers(t *testing.T) {
	other := newHub(t)
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		says   string
		want   []string
	}{
		"a redirect to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusMovedPermanently)
		}, "another host", nil},
		"a redirect in a circle": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusMovedPermanently)
		}, "circle", nil},
		"a next page on another host": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "<"+other.URL+`/x>; rel="next"`)
			_, _ = w.Write([]byte("[" + hubCommit{1, noon, "One", nil, 1}.json("") + "]"))
		}, "", []string{"One"}},
		"commits without a hash": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`[{"sha":"../../../x"},{"sha":""},null,` + hubCommit{1, noon, "One", nil, 1}.json("") + "]"))
		}, "", []string{"One"}},
		"times that cannot be": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("[" + hubCommit{1, noon.Add(100 * 365 * 24 * time.Hour), "Future", nil, 1}.json("") + "," + hubCommit{2, time.Unix(0, 0).UTC(), "Past", nil, 1}.json("") + "]"))
		}, "", nil},
		"cut off":   {func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`[{"sha":"`)) }, "documented", nil},
		"an object": {func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`{}`)) }, "documented", nil},
		"endless": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("["))
			for i := 0; i < maxAnswer && r.Context().Err() == nil; i += 1 << 20 {
				_, _ = w.Write(bytes.Repeat([]byte(" "), 1<<20))
			}
			_, _ = w.Write([]byte("]"))
		}, "documented", nil},
	} {
		h := newHub(t)
		h.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/commits") {
				return false
			}
			tc.answer(w, r)
			return true
		}
		p := newPolled(t, h, nil)
		p.poll(t.Context())
		if (p.Problem() == "") != (tc.says == "") || !strings.Contains(p.Problem(), tc.says) {
			t.Errorf("%s: %q", name, p.Problem())
		}
		expect(t, name, p.store.Recent("pay", 9), tc.want...)
	}
	if len(other.asked) > 0 {
		t.Errorf("another host was asked %q", other.asked)
	}
}

func TestPollToken(t *testing.T) {
	h := newHub(t)
	var file string
	p := newPolled(t, h, func(c *PollerConfig) { file = c.TokenFile })
	for _, tc := range []struct{ content, problem string }{
		{"ghp_test", ""}, {"ghp_old", "expired"}, {"", "no GitHub token"}, {"two words", "no GitHub token"}, {"a\x00b", "no GitHub token"},
		{strings.Repeat("x", maxToken+1), "no GitHub token"}, {" ghp_test\r\n", ""},
	} {
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		p.poll(t.Context())
		if (p.Problem() == "") != (tc.problem == "") || !strings.Contains(p.Problem(), tc.problem) {
			t.Errorf("%.20q: %q", tc.content, p.Problem())
		}
		if strings.Contains(p.Problem()+p.log.String(), "ghp_") {
			t.Error("the token is in what was said")
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if p.poll(t.Context()); !strings.Contains(p.Problem(), "cannot be read") {
		t.Error(p.Problem())
	}

	h.token = ""
	h.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "" {
			t.Error("a token was sent where there is none")
		}
		_, _ = w.Write([]byte("[]"))
		return true
	}
	p = newPolled(t, h, func(c *PollerConfig) { c.TokenFile = "" })
	if pause := p.poll(t.Context()); pause != anonymousInterval || p.Problem() != "" {
		t.Error(pause, p.Problem())
	}
}

func TestNewPollerFindsMistakes(t *testing.T) {
	store := Open("", nil, quiet())
	for name, tc := range map[string]struct {
		alter func(*PollerConfig)
		says  string
	}{
		"no tenant":        {func(c *PollerConfig) { c.Tenant = "" }, "tenant"},
		"no store":         {func(c *PollerConfig) { c.Store = nil }, "store"},
		"no owner":         {func(c *PollerConfig) { c.Repo = "pay" }, "owner/name"},
		"a path":           {func(c *PollerConfig) { c.Repo = "acme/../admin" }, "owner/name"},
		"dots":             {func(c *PollerConfig) { c.Repo = "acme/.." }, "owner/name"},
		"an address":       {func(c *PollerConfig) { c.Repo = "https://github.com/acme/pay" }, "owner/name"},
		"a branch of dirt": {func(c *PollerConfig) { c.Branch = "a\nb" }, "branch"},
		"too often":        {func(c *PollerConfig) { c.Interval = time.Second }, "shortest"},
		"no API":           {func(c *PollerConfig) { c.API = "github.com" }, "api/v3"},
		"a password":       {func(c *PollerConfig) { c.API = "https://u:p@github.com" }, "api/v3"},
		"a token in clear": {func(c *PollerConfig) { c.API = "http://ghe.example" }, "https"},
	} {
		cfg := PollerConfig{Tenant: "pay", Store: store, Repo: "acme/pay", TokenFile: "token"}
		tc.alter(&cfg)
		if _, err := NewPoller(cfg); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewPoller(PollerConfig{Tenant: "pay", Store: store, Repo: "acme/pay"}); err != nil {
		t.Error(err)
	}
}

func TestRunPollsUntilItsEnd(t *testing.T) {
	h := newHub(t)
	ctx, cancel := context.WithCancel(t.Context())
	var pauses []time.Duration
	p := newPolled(t, h, func(c *PollerConfig) {
		c.Interval = 30 * time.Second
		c.Wait = func(ctx context.Context, d time.Duration) error {
			if pauses = append(pauses, d); len(pauses) == 3 {
				cancel()
			}
			return ctx.Err()
		}
	})
	if err := p.Run(ctx); err != nil || len(pauses) != 3 || pauses[0] != 30*time.Second {
		t.Error(err, pauses)
	}
	if asked := h.since(); len(asked) != 6 {
		t.Errorf("asked %q", asked)
	}
	if err := wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNextPage(t *testing.T) {
	base, _ := url.Parse("https://api.github.com")
	for header, want := range map[string]string{
		"": "",
		`<https://api.github.com/x?page=2>; rel="next"`:                                                "https://api.github.com/x?page=2",
		`<https://api.github.com/x?page=1>; rel="prev", <https://api.github.com/x?page=3>; rel="next"`: "https://api.github.com/x?page=3",
		`<https://api.github.com/x?page=9>; rel="last"`:                                                "",
		`<https://evil.example/x>; rel="next"`:                                                         "",
		`<http://api.github.com/x>; rel="next"`:                                                        "",
		`</x?page=2>; rel="next"`:                                                                      "",
		`https://api.github.com/x; rel="next"`:                                                         "",
		`<https://u:p@api.github.com/x>; rel="next"`:                                                   "",
		`<>; rel="next"`: "",
	} {
		if got := nextPage(header, base); got != want {
			t.Errorf("%s: %q", header, got)
		}
	}
}

func TestCommitWithTooManyFiles(t *testing.T) {
	h := newHub(t)
	var files []string
	for i := range 20_000 {
		files = append(files, fmt.Sprintf("web/%0400d.ts", i))
	}
	h.commits = []hubCommit{{1, noon, "Everything", append([]string{"db/a.sql"}, files...), 9}}
	p := newPolled(t, h, nil)
	p.poll(t.Context())
	got := p.store.Recent("pay", 1)
	if p.Problem() != "" || len(got) != 1 || got[0].Added != 9 || len(got[0].Files) != maxFiles || got[0].Files[0] != "db/a.sql" {
		t.Errorf("%s %+v", p.Problem(), got)
	}
}
