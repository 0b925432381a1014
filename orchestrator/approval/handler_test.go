package approval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func (s *scene) expectPage(w *httptest.ResponseRecorder, status int, texts ...string) {
	s.Helper()
	body := strings.Replace(w.Body.String(), style, "", 1)
	if w.Code != status {
		s.Errorf("status %d, want %d:\n%s", w.Code, status, body)
	}
	for _, text := range texts {
		if !strings.Contains(body, text) {
			s.Errorf("the page lacks %q:\n%s", text, body)
		}
	}
	wellFormed(s, w.Body.Bytes())
}

func TestDeciding(t *testing.T) {
	s := newScene(t, Step{Quorum: 2})
	s.view = View{Names: map[string]string{"ana": "Ana Ruiz"}, Action: Action{Title: "Restart checkout", URL: "https://x.example"}, Stage: "VALIDATED"}
	_, ana := s.offer("ana")
	_, ben := s.offer("ben")
	s.expectPage(s.get(ana), http.StatusOK, "<h1>Approve “Restart checkout”?</h1>", "You decide as Ana Ruiz (ana)", "0 of 2 approvals", "expires at 03:10:00 UTC, 5 min after")
	s.expectPage(s.confirm(ana), http.StatusOK, "<h1>Waiting for another approval</h1>", "1 of 2 approvals", "Until then nothing runs.")
	s.expectPage(s.get(ana), http.StatusOK, "Waiting for another approval", "Reject: nothing runs")
	s.expectPage(s.confirm(ana), http.StatusForbidden, "You have approved already", "Somebody else has to approve as well.")
	s.expectPage(s.get(ben), http.StatusOK, "1 of 2 approvals", "Yours is the last", "Ana Ruiz (ana)")
	s.expectPage(s.confirm(ben), http.StatusOK, "<h1>Approved</h1>", "“Restart checkout” runs now, once.")
	s.expectPage(s.confirm(ben), http.StatusConflict, "Approved already", "You gave it.")
	s.expectPage(s.get(ana), http.StatusOK, "Approved already", "ben gave it.", "The incident is now VALIDATED.")
	s.expect("approved", "refused same_person", "authorized")

	s = newScene(t, Step{})
	_, ana = s.offer("ana")
	_, ben = s.offer("ben")
	r := s.send("/reject", ana, func(_ *http.Request, v url.Values) { v.Set("reason", " not\r\nyet \u202e") })
	s.expectPage(s.do(r), http.StatusOK, "<h1>Rejected</h1>", "Nothing runs.")
	s.expectPage(s.confirm(ben), http.StatusConflict, "Rejected already", "ana rejected at 03:05:00 UTC")
	s.expect("rejected", "refused used")
	if got := s.steps[len(s.steps)-2].Text; got != "not yet" {
		t.Errorf("the reason is %q", got)
	}
}

func TestLooksChangeNothing(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	expired := s.steps
	for i := range 50 {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPut, "PROPFIND"} {
			for _, path := range []string{Path, Path + "/confirm", Path + "/reject"} {
				r := httptest.NewRequest(method, path+"?token="+token+"&code="+s.key.code(token), nil)
				r.Header.Set("Sec-Purpose", "prefetch")
				w := s.do(r)
				if path != Path && w.Code != http.StatusMethodNotAllowed && i == 0 {
					t.Errorf("%s %s: %d", method, path, w.Code)
				}
			}
		}
		s.pass(2 * time.Second)
	}
	for _, bad := range []string{"", "x", token + "x", mint(t, testKey(2), someClaims())} {
		s.get(bad)
	}
	s.pass(LinkLife)
	s.get(token)
	if len(s.steps) != len(expired) || len(s.refused) != 0 {
		t.Errorf("looking led to %+v and %+v", s.steps[len(expired):], s.refused)
	}
	if s.looks == 0 {
		t.Error("nothing was looked at")
	}
}

func TestHeadIsGetWithoutItsBody(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	server := httptest.NewServer(s.handler)
	defer server.Close()
	for _, address := range []string{Path + "?token=" + token, Path + "?token=x", "/"} {
		get, err := http.Get(server.URL + address)
		if err != nil {
			t.Fatal(err)
		}
		head, err := http.Head(server.URL + address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, get.Body)
		rest, _ := io.ReadAll(head.Body)
		_, _ = get.Body.Close(), head.Body.Close()
		get.Header.Del("Date")
		head.Header.Del("Date")
		if get.StatusCode != head.StatusCode || len(rest) != 0 || fmt.Sprint(get.Header) != fmt.Sprint(head.Header) {
			t.Errorf("%s: %d %v, HEAD %d %v %q", address, get.StatusCode, get.Header, head.StatusCode, head.Header, rest)
		}
	}
}

// TestOneOfAThousandTaps is what single use means: of a thousand taps at once, on
// one link or on two, one is taken.
func TestOneOfAThousandTaps(t *testing.T) {
	for _, contacts := range [][]string{{"ana"}, {"ana", "ben"}} {
		s := newScene(t, Step{})
		s.handler.decides = newLimiter[string](allowance{1e6, time.Second})
		var tokens []string
		for _, c := range contacts {
			_, token := s.offer(c)
			tokens = append(tokens, token)
		}
		codes := make([]int, 1000)
		var all sync.WaitGroup
		start := make(chan struct{})
		for i := range codes {
			all.Go(func() {
				<-start
				codes[i] = s.confirm(tokens[i%len(tokens)]).Code
			})
		}
		close(start)
		all.Wait()
		taken := 0
		for _, code := range codes {
			switch code {
			case http.StatusOK:
				taken++
			case http.StatusConflict:
			default:
				t.Fatalf("a tap was answered with %d", code)
			}
		}
		authorized := 0
		for _, kind := range s.kinds() {
			if kind == string(StepAuthorized) {
				authorized++
			}
		}
		if taken != 1 || authorized != 1 || len(s.kinds()) > len(contacts) {
			t.Errorf("%d were told that theirs counted, and on record are %q", taken, s.kinds())
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	answers := map[string]*httptest.ResponseRecorder{
		"page": s.get(token), "bad link": s.get("x"), "tap": s.confirm(token), "wrong method": s.do(httptest.NewRequest(http.MethodPut, Path, nil)),
		"elsewhere": s.do(httptest.NewRequest(http.MethodGet, "/", nil)), "no form": s.do(httptest.NewRequest(http.MethodPost, Path+"/confirm", nil)),
	}
	for name, w := range answers {
		for header, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex", "X-Content-Type-Options": "nosniff",
			"X-Frame-Options": "DENY", "Content-Security-Policy": "default-src 'none'; style-src 'sha256-", "Content-Type": "text/html; charset=utf-8",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := w.Header().Get(header); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		if w.Code >= 300 && w.Code < 400 || w.Header().Get("Location") != "" || len(w.Header().Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
		for _, never := range []string{"<script", "javascript:", " style=", " onclick", "http-equiv"} {
			if strings.Contains(w.Body.String(), never) {
				t.Errorf("%s: the page has %q", name, never)
			}
		}
	}
}

func TestLinksThatAreRefused(t *testing.T) {
	other := someClaims()
	s := newScene(t, Step{})
	c, token := s.offer("ana")
	stranger := c
	stranger.Tenant = "other"
	elsewhere := c
	elsewhere.Incident = "inc-850da6-1"
	altered := token[:len(token)-10] + "AAAA" + token[len(token)-6:]
	for _, test := range []struct {
		name, token string
		get, post   int
		text        string
		recorded    Reason // by whom the handler tells
		step        Reason // by the desk
	}{
		{"nothing", "", 400, 400, "not a whole link", Malformed, ""},
		{"cut", token[:40], 400, 400, "not a whole link", Malformed, ""},
		{"forged", mint(t, testKey(2), other), 403, 403, "not made by this installation", Forged, ""},
		{"altered", altered, 403, 403, "changed after it was made", Altered, ""},
		{"another tenant's", mint(t, s.key, stranger), 403, 403, "", "", OtherTenant},
		{"another incident's", mint(t, s.key, elsewhere), 403, 403, "", "", OtherIncident},
		{"unknown", mint(t, s.key, other), 403, 403, "no record of this link", "", UnknownLink},
	} {
		s.refused = nil
		before := len(s.kinds())
		s.expectPage(s.get(test.token), test.get, test.text)
		s.expectPage(s.confirm(test.token), test.post, test.text)
		var want []string
		if test.step != "" {
			want = []string{"refused " + string(test.step)}
		}
		if got := s.kinds()[before:]; !slices.Equal(got, want) {
			t.Errorf("%s: recorded %q, want %q", test.name, got, want)
		}
		switch {
		case test.recorded == "" && len(s.refused) > 0, test.recorded != "" && (len(s.refused) != 1 || s.refused[0].Reason != test.recorded ||
			s.refused[0].Claims != (Claims{}) || s.refused[0].Status != test.post || s.refused[0].What != "POST /action/recover/confirm"):
			t.Errorf("%s: told of %+v", test.name, s.refused)
		}
	}
	s.pass(LinkLife)
	s.refused = nil
	s.expectPage(s.get(token), http.StatusGone, "This link has expired", "5 min")
	s.expectPage(s.confirm(token), http.StatusGone, "This link has expired", "Nothing was run because of it.")
	if len(s.refused) != 1 || s.refused[0].Reason != TooLate || !s.refused[0].Claims.same(c) {
		t.Errorf("%+v", s.refused)
	}
	if strings.Contains(s.get(token).Body.String(), "<form") {
		t.Error("an expired link has a form")
	}
}

func TestExpiredLinksSayWhatBecameOfIt(t *testing.T) {
	s := newScene(t, Step{})
	s.view = View{Issue: "the payments queue is stuck", Stage: "RESOLVED"}
	_, ana := s.offer("ana")
	_, ben := s.offer("ben")
	s.confirm(ana)
	s.pass(LinkLife)
	w := s.get(ben)
	s.expectPage(w, http.StatusGone, "Approved already", "ana approved at 03:05:00 UTC", "The incident is now RESOLVED.")
	if strings.Contains(w.Body.String(), "payments queue") {
		t.Error("an expired link still tells of the incident")
	}
	s.expectPage(s.confirm(ben), http.StatusGone, "Approved already")
	s.pass(lingers + time.Minute)
	looks := s.looks
	s.expectPage(s.get(ben), http.StatusGone, "This link has expired")
	if s.looks != looks {
		t.Error("the desk is asked for a link of the day before")
	}
}

func TestClosedQuestionsSayThatNobodyDecided(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	s.pass(LinkLife)
	s.expectPage(s.get(token), http.StatusGone, "This link has expired")
	s.record(s.request.Expire(s.now)[0])
	s.pass(time.Minute)
	s.expectPage(s.get(token), http.StatusGone, "Nobody decided in time", "The question was closed at 03:10:00 UTC, and nothing was run.")
	s.expectPage(s.confirm(token), http.StatusGone, "Nobody decided in time")
}

func TestTroubledDesk(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	s.fail = errors.New("no space left on /var/lib/secret-place")
	s.expectPage(s.get(token), http.StatusServiceUnavailable, "Not now")
	w := s.confirm(token)
	s.expectPage(w, http.StatusServiceUnavailable, "could not be recorded for certain", "nothing runs without its record")
	if strings.Contains(w.Body.String(), "secret-place") || !strings.Contains(s.log.String(), "secret-place") || strings.Contains(s.log.String(), token) {
		t.Errorf("the page says %s, the log %s", w.Body, s.log.String())
	}
	s.fail = nil
	s.expectPage(s.confirm(token), http.StatusOK, "Approved")
}

// goneDesk finds out whether a decision outlives the request that brought it.
type goneDesk struct {
	Desk
	err error
}

func (d *goneDesk) Decide(ctx context.Context, c Claims, v Verdict) (Outcome, error) {
	d.err = ctx.Err()
	return d.Desk.Decide(ctx, c, v)
}

func TestATapCountsWhenThePhoneIsGone(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	gone := &goneDesk{Desk: s.desk}
	s.handler.o.Desk = gone
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.do(s.send("/confirm", token).WithContext(ctx))
	if gone.err != nil {
		t.Error(gone.err)
	}
	s.expect("authorized")
}

func TestBelowAPath(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	s.handler.o.Public = must(ParsePublicURL("https://ops.example.com/countersign/"))
	link := must(url.Parse(Link(s.handler.o.Public, token)))
	s.expectPage(s.do(httptest.NewRequest(http.MethodGet, link.RequestURI(), nil)), http.StatusOK, `action="recover/confirm"`)
	s.expectPage(s.get(token), http.StatusOK) // a proxy that takes the path away
	s.handler.o.Public.Path = "/action"
	s.expectPage(s.get(token), http.StatusOK)
	s.expectPage(s.do(httptest.NewRequest(http.MethodGet, "/action"+Path+"?token="+token, nil)), http.StatusOK)
	s.expectPage(s.do(httptest.NewRequest(http.MethodGet, "/countersign", nil)), http.StatusNotFound)
	if got := link.ResolveReference(must(url.Parse("recover/confirm"))); got.Path != "/countersign/action/recover/confirm" {
		t.Error(got)
	}
}

func TestNewHandlerNeedsItsParts(t *testing.T) {
	if _, err := NewHandler(Options{}); err == nil {
		t.Error("a handler of nothing")
	}
}
