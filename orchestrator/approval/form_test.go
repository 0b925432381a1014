package approval

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestDecisionsComeFromThePage(t *testing.T) {
	header := func(name, value string) func(*http.Request, url.Values) {
		return func(r *http.Request, _ url.Values) {
			r.Header.Del(name)
			if value != "" {
				r.Header.Set(name, value)
			}
		}
	}
	field := func(name string, values ...string) func(*http.Request, url.Values) {
		return func(_ *http.Request, v url.Values) { v[name] = values }
	}
	noFetch := header("Sec-Fetch-Site", "")
	for name, test := range map[string]struct {
		change []func(*http.Request, url.Values)
		status int
		why    Reason
	}{
		"as it is":                   {nil, 200, ""},
		"reloaded":                   {[]func(*http.Request, url.Values){header("Sec-Fetch-Site", "none")}, 200, ""},
		"an old browser":             {[]func(*http.Request, url.Values){noFetch}, 200, ""},
		"an old one with its origin": {[]func(*http.Request, url.Values){noFetch, header("Origin", "https://approve.example.com")}, 200, ""},
		"no origin":                  {[]func(*http.Request, url.Values){noFetch, header("Origin", "")}, 200, ""},
		"another site":               {[]func(*http.Request, url.Values){header("Sec-Fetch-Site", "cross-site")}, 403, CrossSite},
		"a neighbour":                {[]func(*http.Request, url.Values){header("Sec-Fetch-Site", "same-site")}, 403, CrossSite},
		"another origin":             {[]func(*http.Request, url.Values){noFetch, header("Origin", "https://evil.example")}, 403, CrossSite},
		"another scheme":             {[]func(*http.Request, url.Values){noFetch, header("Origin", "http://approve.example.com")}, 403, CrossSite},
		"no code":                    {[]func(*http.Request, url.Values){field("code")}, 403, NoForm},
		"a wrong code":               {[]func(*http.Request, url.Values){field("code", "AAAA")}, 403, NoForm},
		"two codes":                  {[]func(*http.Request, url.Values){field("code", "a", "b")}, 403, NoForm},
		"two tokens":                 {[]func(*http.Request, url.Values){field("token", "a", "b")}, 400, Malformed},
		"token in the query": {[]func(*http.Request, url.Values){func(r *http.Request, v url.Values) {
			r.URL.RawQuery = url.Values{"token": v["token"], "code": v["code"]}.Encode()
			v.Del("token")
		}}, 400, Malformed},
	} {
		s := newScene(t, Step{})
		_, token := s.offer("ana")
		w := s.do(s.send("/confirm", token, test.change...))
		s.expectPage(w, test.status)
		if (w.Code == http.StatusOK) != slices.Equal(s.kinds(), []string{"authorized"}) {
			t.Errorf("%s: %d, and on record is %q", name, w.Code, s.kinds())
		}
		if test.why != "" && (len(s.refused) != 1 || s.refused[0].Reason != test.why) {
			t.Errorf("%s: told of %+v", name, s.refused)
		}
	}
}

func TestFormsOfNoBrowser(t *testing.T) {
	s := newScene(t, Step{})
	_, token := s.offer("ana")
	for name, test := range map[string]struct {
		kind, body string
		status     int
	}{
		"JSON":      {"application/json", `{"token":"` + token + `"}`, http.StatusUnsupportedMediaType},
		"no kind":   {"", "token=" + token, http.StatusUnsupportedMediaType},
		"multipart": {"multipart/form-data; boundary=x", "--x--", http.StatusUnsupportedMediaType},
		"too large": {"application/x-www-form-urlencoded", "token=" + token + "&reason=" + strings.Repeat("a", maxForm), http.StatusRequestEntityTooLarge},
		"broken":    {"application/x-www-form-urlencoded", "token=%zz", http.StatusBadRequest},
	} {
		r := httptest.NewRequest(http.MethodPost, Path+"/confirm", strings.NewReader(test.body))
		r.Header.Set("Content-Type", test.kind)
		w := s.do(r)
		s.expectPage(w, test.status, "Not decided")
		if len(s.kinds()) > 0 {
			t.Errorf("%s: %q", name, s.kinds())
		}
	}
	longest := s.send("/reject", token, func(_ *http.Request, v url.Values) { v.Set("reason", strings.Repeat("\U0001f6d1", maxWhy)) })
	s.expectPage(s.do(longest), http.StatusOK, "Rejected")
	if got := []rune(s.steps[len(s.steps)-1].Text); len(got) != maxWhy {
		t.Errorf("of the longest reason %d characters are on record", len(got))
	}
}
