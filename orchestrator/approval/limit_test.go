package approval

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"
)

func TestLimits(t *testing.T) {
	s := newScene(t, Step{Quorum: 2})
	_, ana := s.offer("ana")
	_, ben := s.offer("ben")
	until := func(do func() *httptest.ResponseRecorder) int {
		for n := range 1000 {
			if w := do(); w.Code == http.StatusTooManyRequests {
				s.expectPage(w, http.StatusTooManyRequests, "Too often")
				return n
			}
		}
		return 1000
	}
	if n := until(func() *httptest.ResponseRecorder { return s.get("x") }); n != 20 {
		t.Errorf("%d wrong links are answered", n)
	}
	if n := until(func() *httptest.ResponseRecorder { return s.get(ana) }); n != 60 {
		t.Errorf("%d looks are answered: wrong links from the same address must not matter", n)
	}
	if n := until(func() *httptest.ResponseRecorder { return s.confirm(ana) }); n != 10 {
		t.Errorf("%d taps are answered: looks must not matter", n)
	}
	s.expectPage(s.confirm(ben), http.StatusOK, "Approved")
	s.pass(3 * time.Second)
	if n := until(func() *httptest.ResponseRecorder { return s.confirm(ana) }); n != 1 {
		t.Errorf("%d taps are answered three seconds later", n)
	}
	s.pass(LinkLife)
	if n := until(func() *httptest.ResponseRecorder { return s.get(ana) }); n != 10 {
		t.Errorf("%d looks at an expired link are answered", n)
	}
}

func TestLimiterForgets(t *testing.T) {
	l := newLimiter[string](allowance{2, time.Second})
	for i := range 3 * maxKeys {
		l.take(fmt.Sprint(i), began)
	}
	if len(l.left) > maxKeys+1 {
		t.Errorf("%d keys are kept", len(l.left))
	}
	if l.take("newcomer", began) {
		t.Error("newcomers beyond the bound are not counted together")
	}
	if !l.take("newcomer", began.Add(time.Hour)) || len(l.left) > 2 {
		t.Errorf("%d keys are kept after an hour", len(l.left))
	}
}

func TestClientAddresses(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.1/32")}
	for _, test := range []struct {
		remote    string
		forwarded []string
		want      string
	}{
		{"192.0.2.1:99", nil, "192.0.2.1/32"},
		{"192.0.2.1:99", []string{"198.51.100.7"}, "192.0.2.1/32"},
		{"10.1.2.3:99", nil, "10.1.2.3/32"},
		{"10.1.2.3:99", []string{"198.51.100.7"}, "198.51.100.7/32"},
		{"127.0.0.1:99", []string{"203.0.113.9, 198.51.100.7", "10.0.0.9"}, "198.51.100.7/32"},
		{"127.0.0.1:99", []string{"junk"}, "127.0.0.1/32"},
		{"[2001:db8::1]:99", nil, "2001:db8::/64"},
		{"[::ffff:192.0.2.1]:99", nil, "192.0.2.1/32"},
		{"nonsense", nil, netip.Prefix{}.String()},
	} {
		r := httptest.NewRequest(http.MethodGet, Path, nil)
		r.RemoteAddr = test.remote
		r.Header["X-Forwarded-For"] = test.forwarded
		if got := clientOf(r, trusted).String(); got != test.want {
			t.Errorf("%s %q: %s, want %s", test.remote, test.forwarded, got, test.want)
		}
	}
}
