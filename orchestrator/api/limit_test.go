package api

import (
	"strings"
	"testing"
	"time"
)

// A tenant's own people cannot fill the ledger of all with orders, and can
// always take authority away.
func TestOrdersAreBounded(t *testing.T) {
	d := serveTenants(t, nil)
	live := func(secret, tenant string) int {
		return d.ask(t, "DELETE", "/tenant/"+tenant+"/shadow", "", with(secret), "X-Countersign-Who: ana").Code
	}
	for i := range orderBurst {
		if code := live(paySecret, "pay"); code != 200 {
			t.Fatalf("order %d: %d", i, code)
		}
	}
	mark := d.ask(t, "POST", "/incidents/inc-1/mark?tenant=pay", `{"verdict":"confirmed","who":"ana"}`, with(paySecret), asJSON)
	if mark.Code != 429 || mark.Header().Get("Retry-After") != "10" || !strings.Contains(mark.Body.String(), "try again in 10 s") {
		t.Errorf("a mark too many: %d %v %s", mark.Code, mark.Header(), mark.Body)
	}
	if code := live(paySecret, "pay"); code != 429 {
		t.Errorf("an order too many: %d", code)
	}
	if w := d.ask(t, "POST", "/tenant/pay/shadow", "", with(paySecret)); w.Code != 200 {
		t.Errorf("back to shadow mode, which is always possible: %d", w.Code)
	}
	if code := live(shopSecret, "shop"); code != 200 {
		t.Errorf("one tenant's orders were too many for another: %d", code)
	}
	orders, denied := d.docket.taken()
	if len(orders) != orderBurst+2 || len(denied) > 0 {
		t.Errorf("%d orders were carried out, denied %q", len(orders), denied)
	}
	d.now = d.now.Add(-time.Hour)
	if code := live(paySecret, "pay"); code != 429 {
		t.Errorf("a clock that was put back gave an order: %d", code)
	}
	d.now = d.now.Add(orderEvery)
	if code := live(paySecret, "pay"); code != 200 {
		t.Errorf("after waiting: %d", code)
	}
}

// A proxy that lets the world push changes has one address for all of it.
func TestWhoPushesCannotLockOutWhoOrders(t *testing.T) {
	d := serveTenants(t, nil)
	for _, path := range []string{"/changes?tenant=pay", "/commits/pay"} {
		for range guessBurst {
			d.ask(t, "POST", path, "", with("hunter2-of-nobody-at-all"))
		}
		if w := d.ask(t, "POST", path, "", with("hunter2-of-nobody-at-all")); w.Code != 429 {
			t.Errorf("%s: a guess too many: %d", path, w.Code)
		}
	}
	if w := d.ask(t, "POST", "/tenant/pay/shadow", "", with(paySecret)); w.Code != 200 {
		t.Errorf("an order from the address of those who guessed: %d", w.Code)
	}
}
