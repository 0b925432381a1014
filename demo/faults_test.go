package demo

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, seed uint64) *API {
	t.Helper()
	a, err := Open("127.0.0.1:0", seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// ask sends one request on a connection of its own.
func ask(method, url, body string) (status int, text string, err error) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

func TestRoutes(t *testing.T) {
	base := "http://" + open(t, 1).Addr()
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/products", "", 200, `"paper"`},
		{"GET", "/products/6", "", 200, `"id":6`},
		{"GET", "/products/none", "", 404, `no such product`},
		{"POST", "/orders", `{"product":1}`, 201, `"bytes":13`},
		{"GET", "/reports/2026-01-01", "", 200, `"report":"2026-01-01"`},
		{"GET", "/search?q=in", "", 200, `"ink"`},
		{"POST", "/webhooks/payment", "{}", 204, ""},
		{"GET", "/events?count=2&every=1ms", "", 200, "id: 2\ndata: {\"sold\": 2}\n\n"},
		{"DELETE", "/products", "", 404, `no such page`},
	} {
		status, text, err := ask(tc.method, base+tc.path, tc.body)
		if err != nil || status != tc.status || !strings.Contains(text, tc.want) {
			t.Errorf("%s %s: %d %q %v, want %d with %q", tc.method, tc.path, status, text, err, tc.status, tc.want)
		}
	}
}

func TestKnobs(t *testing.T) {
	a := open(t, 1)
	c, err := OpenControl("127.0.0.1:0", a, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	base := "http://" + c.Addr()
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               Faults
	}{
		{"POST", "/demo/faults?latency_ms=7", "", 200, Faults{LatencyMS: 7}},
		{"POST", "/demo/faults", `{"error_rate": 0.5}`, 200, Faults{LatencyMS: 7, ErrorRate: 0.5}},
		{"POST", "/demo/faults?hang=true", `{"latency_ms": 1}`, 200, Faults{LatencyMS: 1, ErrorRate: 0.5, Hang: true}},
		{"POST", "/demo/faults?die=1&hang=0", "", 200, Faults{LatencyMS: 1, ErrorRate: 0.5, Die: true}},
		{"GET", "/demo/faults", "", 200, Faults{LatencyMS: 1, ErrorRate: 0.5, Die: true}},
		{"DELETE", "/demo/faults", "", 200, Faults{}},
		{"POST", "/demo/faults?ramp_ms=50&flap_s=15", "", 200, Faults{RampMS: 50, FlapSeconds: 15}},
		{"POST", "/demo/reset", "", 200, Faults{}},
		{"POST", "/demo/faults?ramp_ms=60001", "", 400, Faults{}},
		{"POST", "/demo/faults?flap_s=-1", "", 400, Faults{}},
		{"POST", "/demo/faults?error_rate=1.5", "", 400, Faults{}},
		{"POST", "/demo/faults?error_rate=NaN", "", 400, Faults{}},
		{"POST", "/demo/faults?latency_ms=-1", "", 400, Faults{}},
		{"POST", "/demo/faults?latency_ms=soon", "", 400, Faults{}},
		{"POST", "/demo/faults?latncy_ms=1", "", 400, Faults{}},
		{"POST", "/demo/faults", `{"latncy_ms": 1}`, 400, Faults{}},
		{"POST", "/demo/faults", `{} {}`, 400, Faults{}},
		{"POST", "/demo/faults?latency_ms=9", "", 200, Faults{LatencyMS: 9}},
		{"POST", "/demo/reset", "", 200, Faults{}},
		{"GET", "/elsewhere", "", 404, Faults{}},
	} {
		status, text, err := ask(tc.method, base+tc.path, tc.body)
		if err != nil || status != tc.status {
			t.Errorf("%s %s %s: %d %q %v, want %d", tc.method, tc.path, tc.body, status, text, err, tc.status)
		}
		if got := a.Faults(); got != tc.want {
			t.Fatalf("%s %s %s leaves %+v, want %+v", tc.method, tc.path, tc.body, got, tc.want)
		}
	}
}

func TestSameSeedSameErrors(t *testing.T) {
	draw := func(seed uint64) string {
		a := open(t, seed)
		if err := a.SetFaults(Faults{ErrorRate: 0.5}); err != nil {
			t.Fatal(err)
		}
		var statuses strings.Builder
		for range 40 {
			status, _, err := ask("GET", "http://"+a.Addr()+"/products", "")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(&statuses, "%d ", status)
		}
		return statuses.String()
	}
	first := draw(7)
	if again := draw(7); again != first {
		t.Errorf("seed 7 gave\n%s and then\n%s", first, again)
	}
	if other := draw(8); other == first {
		t.Error("seeds 7 and 8 drew the same")
	}
	if !strings.Contains(first, "200") || !strings.Contains(first, "500") {
		t.Errorf("half of the requests should fail: %s", first)
	}
}

func TestDieAndRevive(t *testing.T) {
	a := open(t, 1)
	url := "http://" + a.Addr() + "/products"
	for range 3 {
		if status, _, err := ask("GET", url, ""); status != 200 {
			t.Fatalf("alive: %d %v", status, err)
		}
		if err := a.SetFaults(Faults{Die: true}); err != nil {
			t.Fatal(err)
		}
		if status, _, err := ask("GET", url, ""); err == nil {
			t.Fatalf("dead, and answers %d", status)
		}
		if err := a.SetFaults(Faults{}); err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	if err := a.SetFaults(Faults{}); err == nil {
		t.Error("a closed API took faults")
	}
}

func TestPortInUse(t *testing.T) {
	a := open(t, 1)
	if _, err := Open(a.Addr(), 1); err == nil || !strings.Contains(err.Error(), a.Addr()) {
		t.Errorf("opening on a used port: %v", err)
	}
	if _, err := OpenControl(a.Addr(), a, testSecret); err == nil {
		t.Error("the knobs took a used port")
	}
}

func TestFaultsOverTime(t *testing.T) {
	for _, tc := range []struct {
		faults  Faults
		since   time.Duration
		latency time.Duration
		flapped bool
	}{
		{Faults{}, time.Hour, 0, false},
		{Faults{LatencyMS: 30}, time.Hour, 30 * time.Millisecond, false},
		{Faults{LatencyMS: 30, RampMS: 20}, 0, 30 * time.Millisecond, false},
		{Faults{LatencyMS: 30, RampMS: 20}, 2500 * time.Millisecond, 80 * time.Millisecond, false},
		{Faults{RampMS: 60000}, 1000 * time.Hour, time.Minute, false},
		{Faults{FlapSeconds: 10}, 0, 0, true},
		{Faults{FlapSeconds: 10}, 9999 * time.Millisecond, 0, true},
		{Faults{FlapSeconds: 10}, 10 * time.Second, 0, false},
		{Faults{FlapSeconds: 10}, 20 * time.Second, 0, true},
	} {
		if got := tc.faults.latency(tc.since); got != tc.latency {
			t.Errorf("%+v after %s adds %s, want %s", tc.faults, tc.since, got, tc.latency)
		}
		if got := tc.faults.flapped(tc.since); got != tc.flapped {
			t.Errorf("%+v after %s fails: %v, want %v", tc.faults, tc.since, got, tc.flapped)
		}
	}
}
