package api

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// slow takes no answer before it is let go.
type slow struct {
	*httptest.ResponseRecorder
	taking, let chan struct{}
}

func (s slow) Write(p []byte) (int, error) {
	close(s.taking)
	<-s.let
	return s.ResponseRecorder.Write(p)
}

func TestASlowReaderHoldsUpItsOwnTenantAlone(t *testing.T) {
	d := serveTenants(t, nil)
	synctest.Test(t, func(t *testing.T) {
		h := d.srv.Config.Handler.(*handler)
		h.turns = newTurns([]Tenant{{ID: "shop"}, {ID: "pay"}}) // of this bubble, whose clock they wait by
		s := slow{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		r := httptest.NewRequest("GET", "http://localhost/tenant/pay/shadow/report", nil)
		r.Header.Set(SecretHeader, paySecret)
		go d.srv.Config.Handler.ServeHTTP(s, r)
		<-s.taking
		if w := d.ask(t, "GET", "/tenant/shop/shadow/report", "", with(shopSecret)); w.Code != http.StatusOK {
			t.Errorf("another tenant: %d %s", w.Code, w.Body)
		}
		if w := d.ask(t, "GET", "/incidents/inc-1?tenant=pay", "", with(paySecret)); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("the same tenant, while its answer is being taken: %d %s", w.Code, w.Body)
		}
		close(s.let)
		synctest.Wait()
		if w := d.ask(t, "GET", "/incidents/inc-1?tenant=pay", "", with(paySecret)); w.Code != http.StatusOK {
			t.Errorf("the same tenant, afterwards: %d %s", w.Code, w.Body)
		}
	})
}
