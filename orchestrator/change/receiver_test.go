package change

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func post(contentType, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/changes", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func (in *inbox) commit(t *testing.T, r *http.Request) reply {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) { in.Commit(w, r, "pay") })(r)
}

func (in *inbox) event(t *testing.T, r *http.Request) reply {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) { in.Event(w, r, "pay") })(r)
}

const form = "application/x-www-form-urlencoded"

func TestCommit(t *testing.T) {
	whole := url.Values{
		"sha": {strings.ToUpper(sha(1))}, "message": {"Fix it\n\nlong"}, "author": {"Ana"}, "added": {" 12"}, "removed": {""},
		"files": {"db/a.sql\nmain.go\n"}, "url": {"https://ci.example/1"}, "at": {"2026-03-02T13:58:00+02:00"},
	}
	for name, r := range map[string]*http.Request{
		"form": post(form, whole.Encode()),
		"JSON": post("application/json; charset=UTF-8", fmt.Sprintf(`{"sha":"%s","title":"Fix it","author":"Ana","added":12,"files":["db/a.sql","main.go"],"url":"https://ci.example/1","at":"2026-03-02T11:58:00Z"}`, sha(1))),
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		if got := in.commit(t, r); got.Added != 1 || got.Duplicate {
			t.Fatal(name, got.text)
		}
		want := `2m earlier — ` + short(sha(1)) + ` "Fix it" (Ana, +12/−0) · touches database files`
		if c := in.Store.Recent("pay", 1)[0]; c.Line(noon) != want || c.Source != "ci" || c.ID != commitID(sha(1)) || c.URL != "https://ci.example/1" {
			t.Errorf("%s: %+v", name, c)
		}
		if got := in.commit(t, post(form, "sha="+sha(1)[:8])); !got.Duplicate || got.Added != 0 {
			t.Error(name, got.text)
		}
	}
}

func TestCommitRefusals(t *testing.T) {
	with := func(field string) string { return fmt.Sprintf(`{"sha":"%s",%s}`, sha(1), field) }
	for name, tc := range map[string]struct {
		r      *http.Request
		status int
		says   string
	}{
		"no hash":         {post(form, "title=x"), 400, `"sha"`},
		"a branch":        {post(form, "sha=main"), 400, `"sha"`},
		"a short hash":    {post(form, "sha=abc123"), 400, `"sha"`},
		"unknown field":   {post(form, "sha="+sha(1)+"&tilte=x"), 400, `"tilte"`},
		"twice":           {post(form, "sha="+sha(1)+"&sha="+sha(2)), 400, `"sha" twice`},
		"no number":       {post(form, "sha="+sha(1)+"&added=many"), 400, `"added"`},
		"a broken form":   {post(form, "sha=%zz"), 400, "form"},
		"unknown in JSON": {post("application/json", with(`"tilte":"x"`)), 400, `tilte`},
		"a wrong type":    {post("application/json", with(`"files":"a"`)), 400, `"files"`},
		"a key twice":     {post("application/json", with(`"title":"a","title":"b"`)), 400, "twice"},
		"negative":        {post("application/json", with(`"added":-1`)), 400, `"added"`},
		"a huge number":   {post("application/json", with(`"added":1e99`)), 400, `"added"`},
		"no time":         {post("application/json", with(`"at":"yesterday"`)), 400, `"at"`},
		"a future time":   {post("application/json", with(`"at":"2026-03-02T12:05:01Z"`)), 400, "future"},
		"an absurd time":  {post("application/json", with(`"at":"9999-12-31T23:59:59Z"`)), 400, "future"},
		"a past time":     {post("application/json", with(`"at":"2026-02-23T11:59:59Z"`)), 400, "7 days"},
		"year 0":          {post("application/json", with(`"at":"0000-01-01T00:00:00Z"`)), 400, "7 days"},
		"no address":      {post("application/json", with(`"url":"javascript:alert(1)"`)), 400, `"url"`},
		"not UTF-8":       {post("application/json", with("\"title\":\"\xff\"")), 400, "UTF-8"},
		"text":            {post("text/plain", "sha="+sha(1)), 415, "text/plain"},
		"no content type": {post("", "sha="+sha(1)), 415, "Content-Type"},
		"a broken type":   {post("application/", "sha="+sha(1)), 415, "Content-Type"},
		"large":           {post(form, strings.Repeat("x", MaxBody+1)), 413, "larger"},
		"large in a trickle": {func() *http.Request {
			r := post(form, "")
			r.Body, r.ContentLength = io.NopCloser(io.LimitReader(spaces{}, 1<<30)), -1
			return r
		}(), 413, "larger"},
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		if got := in.commit(t, tc.r); got.status != tc.status || !strings.Contains(got.Error, tc.says) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
		if len(in.Store.Recent("pay", 1)) > 0 || len(in.denied) > 0 {
			t.Errorf("%s: kept, or denied: %q", name, in.denied)
		}
	}
}

func TestEvent(t *testing.T) {
	const own, structured, batch = "application/json", "application/cloudevents+json; charset=utf-8", "application/cloudevents-batch+json"
	binary := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/flags", "ce-type", "com.example.feature_flag.changed"}
	for name, tc := range map[string]struct {
		r    *http.Request
		want []string
	}{
		"own": {post(own, `{"id":"f1","tenant_id":"pay","kind":"flag","title":"new-checkout on","ref":"new-checkout","author":"ana","at":"2026-03-02T11:59:00Z"}`),
			[]string{`1m earlier — flag new-checkout "new-checkout on" (ana)`}},
		"own commit": {post(own, `{"kind":"commit","title":"Fix it","ref":"`+sha(3)+`","added":1,"files":["a/config.yaml"]}`),
			[]string{`0s earlier — ` + short(sha(3)) + ` "Fix it" (+1/−0) · touches config files`}},
		"structured": {post(structured, `{"specversion":"1.0","id":"1","source":"/flags","type":"com.example.flag.changed","subject":"new-checkout","time":"2026-03-02T11:58:00.5Z","traceparent":"x","data":{"author":"ana","percent":50}}`),
			[]string{`1m earlier — flag "new-checkout" (ana)`}},
		"structured, kind in the data": {post(structured, `{"specversion":"1.0","id":"1","source":"/x","type":"x.y","data":{"kind":"migration","title":"0007","files":["shop/migrations/7.py"]}}`),
			[]string{`0s earlier — migration "0007" · touches migration files`}},
		"structured, data of other words": {post(structured, `{"specversion":"1.0","id":"1","source":"/x","type":"dev.cdevents.service.deployed.0.2.0","data":{"kind":"Service","title":{"a":1},"author":["b"],"files":{"c":2},"added":"many","url":"no"}}`),
			[]string{`0s earlier — deployment "dev.cdevents.service.deployed.0.2.0"`}},
		"structured, base64": {post(structured, `{"specversion":"1.0","id":"1","source":"/x","type":"image.pushed","datacontenttype":"application/json","data_base64":"eyJ0aXRsZSI6InBheTp2NyJ9"}`),
			[]string{`0s earlier — image "pay:v7"`}},
		"structured, other data": {post(structured, `{"specversion":"1.0","id":"1","source":"/x","type":"config.changed","datacontenttype":"text/plain","data":"timeouts"}`),
			[]string{`0s earlier — config "config.changed"`}},
		"binary": {post(own, `{"title":"new-checkout at 50 %"}`, append(binary, "ce-time", "2026-03-02T11:57:00Z")...),
			[]string{`3m earlier — flag "new-checkout at 50 %"`}},
		"binary without data":    {post("", "", append(binary, "ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80")...), []string{`0s earlier — flag "Euro € 😀"`}},
		"binary, quoted":         {post("text/plain", "zzz", append(binary, "ce-subject", `"a \"b\" c"`)...), []string{`0s earlier — flag "a 'b' c"`}},
		"binary, other data":     {post("application/octet-stream", "\xff\x00", append(binary, "ce-subject", "x")...), []string{`0s earlier — flag "x"`}},
		"batch":                  {post(batch, `[{"specversion":"1.0","id":"1","source":"/x","type":"flag","subject":"one"},{"specversion":"1.0","id":"2","source":"/x","type":"infra","subject":"two"}]`), []string{`0s earlier — infrastructure "two"`, `0s earlier — flag "one"`}},
		"batch of the same":      {post(batch, `[{"specversion":"1.0","id":"1","source":"/x","type":"flag","subject":"one"},{"specversion":"1.0","id":"1","source":"/x","type":"flag","subject":"two"}]`), []string{`0s earlier — flag "one"`}},
		"an empty batch":         {post(batch, `[]`), nil},
		"same id, other sources": {post(batch, `[{"specversion":"1.0","id":"1","source":"/x","type":"flag","subject":"one"},{"specversion":"1.0","id":"1","source":"/y","type":"flag","subject":"two"}]`), []string{`0s earlier — flag "two"`, `0s earlier — flag "one"`}},
		"hostile":                {post(own, `{"kind":"config","title":"a\u001b[2J\u202e\nb"}`), []string{`0s earlier — config "a [2J"`}},
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		got := in.event(t, tc.r)
		if got.status != 200 || got.Added != len(tc.want) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
		var lines []string
		for _, c := range in.Store.Recent("pay", 9) {
			lines = append(lines, c.Line(noon))
		}
		if strings.Join(lines, "\n") != strings.Join(tc.want, "\n") {
			t.Errorf("%s:\ngot  %q\nwant %q", name, lines, tc.want)
		}
	}
}

func TestEventIsKnownByItsID(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	own := func(id, title string) reply {
		return in.event(t, post("application/json", fmt.Sprintf(`{"id":"%s","kind":"flag","title":"%s"}`, id, title)))
	}
	for i, want := range []int{1, 0} {
		if got := own("x", fmt.Sprint("a", i)); got.Added != want || got.Duplicate != (want == 0) {
			t.Error(i, got.text)
		}
	}
	// Without an ID the text at its time is all there is to know it by.
	for i, want := range []int{1, 0} {
		if got := own("", "text"); got.Added != want {
			t.Error(i, got.text)
		}
	}
	if got := own("", "another"); got.Added != 1 {
		t.Error(got.text)
	}
}

func TestEventRefusals(t *testing.T) {
	const own, structured, batch = "application/json", "application/cloudevents+json", "application/cloudevents-batch+json"
	event := func(field string) string {
		return `{"specversion":"1.0","id":"1","source":"/x","type":"flag",` + field + `}`
	}
	binary := []string{"ce-specversion", "1.0", "ce-id", "1", "ce-source", "/flags", "ce-type", "flag"}
	for name, tc := range map[string]struct {
		r      *http.Request
		status int
		says   string
	}{
		"no kind":               {post(own, `{"title":"x"}`), 400, `"kind"`},
		"no such kind":          {post(own, `{"kind":"rumour","title":"x"}`), 400, `"rumour"`},
		"no title":              {post(own, `{"kind":"flag","title":"\u202e "}`), 400, `"title"`},
		"an unknown field":      {post(own, `{"kind":"flag","title":"x","titel":"x"}`), 400, "titel"},
		"another tenant":        {post(own, `{"kind":"flag","title":"x","tenant_id":"other"}`), 403, "tenant"},
		"a commit of no hash":   {post(own, `{"kind":"commit","title":"x","ref":"main"}`), 400, `"ref"`},
		"a long id":             {post(own, `{"kind":"flag","title":"x","id":"`+strings.Repeat("x", 1001)+`"}`), 400, `"id"`},
		"another format":        {post("application/cloudevents+avro", "x"), 415, "avro"},
		"text":                  {post("text/plain", "x"), 415, "text/plain"},
		"a form":                {post(form, "kind=flag"), 415, "urlencoded"},
		"another version":       {post(structured, `{"specversion":"0.3","id":"1","source":"/x","type":"flag"}`), 400, "specversion"},
		"no id":                 {post(structured, `{"specversion":"1.0","source":"/x","type":"flag"}`), 400, `"id"`},
		"no source":             {post(structured, `{"specversion":"1.0","id":"1","type":"flag"}`), 400, `"source"`},
		"no type":               {post(structured, `{"specversion":"1.0","id":"1","source":"/x"}`), 400, `"type"`},
		"a type of no kind":     {post(structured, `{"specversion":"1.0","id":"1","source":"/x","type":"com.example.order.paid"}`), 400, `"kind"`},
		"event for another":     {post(structured, event(`"data":{"tenant_id":"other"}`)), 403, "tenant"},
		"event for nobody":      {post(structured, event(`"data":{"tenant_id":["pay"]}`)), 400, "tenant_id"},
		"a wrong time":          {post(structured, event(`"time":"noon"`)), 400, `"at"`},
		"data and data":         {post(structured, event(`"data":{},"data_base64":"e30="`)), 400, "not both"},
		"no base64":             {post(structured, event(`"data_base64":"!"`)), 400, "data_base64"},
		"base64 of no JSON":     {post(structured, event(`"datacontenttype":"application/json","data_base64":"e3t7"`)), 400, "data"},
		"base64 of a key twice": {post(structured, event(`"datacontenttype":"application/json","data_base64":"eyJhIjoxLCJhIjoyfQ=="`)), 400, "twice"},
		"an array":              {post(structured, `[]`), 400, "array"},
		"one in a batch":        {post(batch, `[`+event(`"subject":"x"`)+`,{"specversion":"1.0"}]`), 400, "event 2"},
		"no batch":              {post(batch, event(`"subject":"x"`)), 400, "object"},
		"a large batch":         {post(batch, `[`+strings.Repeat(event(`"subject":"x"`)+",", maxBatch)+event(`"subject":"x"`)+`]`), 413, "100"},
		"a header twice":        {post(own, `{}`, append(binary, "ce-id", "2")...), 400, "ce-id"},
		"broken encoding":       {post(own, `{}`, append(binary, "ce-subject", "%zz")...), 400, "ce-subject"},
		"overlong encoding":     {post(own, `{}`, append(binary, "ce-subject", "%C0%A0")...), 400, "UTF-8"},
		"binary, no JSON":       {post(own, `{`, binary...), 400, "not JSON"},
		"large":                 {post(own, strings.Repeat(" ", MaxBody+1)), 413, "larger"},
	} {
		in := newInbox(Open("", func() time.Time { return noon }, quiet()))
		if got := in.event(t, tc.r); got.status != tc.status || !strings.Contains(got.Error, tc.says) {
			t.Errorf("%s: %d %s", name, got.status, got.text)
		}
		if len(in.Store.Recent("pay", 1)) > 0 || (len(in.denied) == 1) != (tc.status == 403) {
			t.Errorf("%s: kept, or denied %q", name, in.denied)
		}
	}
}

// TestManyLargeBodies: what is not known to be wanted cannot fill the memory.
func TestManyLargeBodies(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	started, finish := make(chan struct{}), make(chan struct{})
	done := make(chan reply)
	for range maxReading {
		go func() {
			r := post(form, "")
			r.Body, r.ContentLength = io.NopCloser(&held{started: started, finish: finish}), -1
			done <- in.commit(t, r)
		}()
	}
	for range maxReading {
		<-started
	}
	if got := in.commit(t, post(form, strings.Repeat("x", smallBody+1))); got.status != 503 || !strings.Contains(got.Error, "try again") {
		t.Error("one too many:", got.text)
	}
	push := httptest.NewRecorder()
	in.GitHub(push, webhook("ping", "d-1", `{"zen":"`+strings.Repeat("x", smallBody)+`"}`), "pay", secret)
	if push.Code != http.StatusOK {
		t.Error("a large webhook beside them:", push.Body)
	}
	if got := in.commit(t, post(form, "sha="+sha(1))); got.Added != 1 {
		t.Error("a small one beside them:", got.text)
	}
	close(finish)
	for range maxReading {
		if got := <-done; got.status != 400 {
			t.Error(got.text)
		}
	}
	if got := in.commit(t, post(form, "sha="+sha(2)+"&title="+strings.Repeat("x", smallBody))); got.Added != 1 {
		t.Error("a large one after them:", got.text)
	}
}

// held is a body that ends when it is told to.
type held struct {
	started, finish chan struct{}
	begun           bool
}

func (h *held) Read([]byte) (int, error) {
	if !h.begun {
		h.begun = true
		h.started <- struct{}{}
	}
	<-h.finish
	return 0, io.EOF
}

// FuzzEvent: whatever is sent as an event is refused with a reason or makes
// changes that can be kept.
func FuzzEvent(f *testing.F) {
	f.Add("application/json", "", `{"kind":"flag","title":"new-checkout on"}`)
	f.Add("application/cloudevents+json", "", `{"specversion":"1.0","id":"1","source":"/x","type":"flag","data":{"title":"x"}}`)
	f.Add("application/cloudevents-batch+json", "", `[{"specversion":"1.0","id":"1","source":"/x","type":"flag","data_base64":"e30="}]`)
	f.Add("application/json; charset=utf-8", `"a%20\"b"`, `{"files":["db/a.sql"]}`)
	f.Fuzz(func(t *testing.T, contentType, subject, body string) {
		r := post("", "")
		r.Header["Content-Type"] = []string{contentType}
		if subject != "" {
			r.Header = http.Header{"Content-Type": {contentType}, "Ce-Specversion": {"1.0"}, "Ce-Id": {subject}, "Ce-Source": {"/x"}, "Ce-Type": {"flag"}, "Ce-Subject": {subject}}
		}
		changes, err := readEvents(r, []byte(body), "pay", noon)
		if err != nil {
			if refused, ok := err.(*refusal); !ok || refused.status < 400 || refused.status > 415 || len(changes) > 0 {
				t.Errorf("%v with %d changes", err, len(changes))
			}
			return
		}
		for _, c := range changes {
			if _, err := tidy(c); err != nil || c.At.IsZero() || c.Tenant != "pay" {
				t.Errorf("%+v: %v", c, err)
			}
		}
	})
}

// Whoever knows no secret can make no line of the log.
func TestOnlyTheAllowedAreLogged(t *testing.T) {
	in := newInbox(Open("", func() time.Time { return noon }, quiet()))
	var log strings.Builder
	in.Log = slog.New(slog.NewTextHandler(&log, nil))
	broken := webhook("push", "d-1", "{}")
	broken.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
	forged := webhook("push", "d-1", "{")
	forged.Header.Set("X-Hub-Signature-256", sign("{", "guessed"))
	for _, r := range []*http.Request{broken, forged} {
		in.GitHub(httptest.NewRecorder(), r, "pay", secret)
	}
	if log.Len() > 0 {
		t.Errorf("strangers are logged: %s", log.String())
	}
	in.GitHub(httptest.NewRecorder(), webhook("push", "d-1", "{"), "pay", secret)
	if !strings.Contains(log.String(), "is not JSON") {
		t.Errorf("a mistake of the webhook's own is not logged: %q", log.String())
	}
}
