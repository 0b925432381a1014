package main

import (
	"context"
	"net/http"
	"testing"
	"time"
)

func TestATrialIsJudgedByBothEnds(t *testing.T) {
	for name, c := range map[string]struct {
		trial   Trial
		between bool
		offBy   float64
	}{
		"inside":              {Trial{ServerMS: 4, ClientMS: 5, ReportedMS: 4.5}, true, 0},
		"below":               {Trial{ServerMS: 4, ClientMS: 5, ReportedMS: 3}, false, 0.25},
		"above":               {Trial{ServerMS: 4, ClientMS: 5, ReportedMS: 6}, false, 0.2},
		"bracket reaches in":  {Trial{ServerMS: 4, ClientMS: 5, ReportedMS: 5.5, BracketMS: &[2]float64{4.9, 5.5}}, true, 0},
		"bracket stays below": {Trial{ServerMS: 4, ClientMS: 5, ReportedMS: 3, BracketMS: &[2]float64{2, 3}}, false, 0.25},
	} {
		c.trial.judge()
		if c.trial.Between != c.between || c.trial.OffBy != c.offBy {
			t.Errorf("%s: between %v, off by %v", name, c.trial.Between, c.trial.OffBy)
		}
	}
}

func TestLogLines(t *testing.T) {
	line := `127.0.0.1:40962 [22/Nov/2026:13:28:40.123] api api/api 0/0/0/3/4 200 123 - - ---- 4/4/3/3/0 0/0 "GET /measured HTTP/1.1"`
	if v, ok := activeTime(line); !ok || v != 4 {
		t.Errorf("Ta is %v, %v", v, ok)
	}
	for _, other := range []string{"", "Server api/api is UP", `127.0.0.1:1 [x] api api/api 0/0/0/3/4 200 1 - - ---- 1/1/1/1/0 0/0 "GET / HTTP/1.1"`} {
		if _, ok := activeTime(other); ok {
			t.Errorf("%q is taken for a measured request", other)
		}
	}
	const log = "not json\n" + `{"msg":"serving","listen":{"IP":"127.0.0.1","Port":4711,"Zone":""},"admin":"127.0.0.1:4712"}`
	if listen, admin := serving(log); listen != "http://127.0.0.1:4711" || admin != "http://127.0.0.1:4712" {
		t.Errorf("listens at %q and %q", listen, admin)
	}
}

// The server knows what it took, and the client sees no less.
func TestTheTruthLiesBetweenServerAndClient(t *testing.T) {
	const n = 40
	delays := make([]time.Duration, n)
	for i := range delays {
		delays[i] = time.Duration(i) * 100 * time.Microsecond
	}
	s, err := serve(delays)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	res, err := http.Get("http://" + s.address() + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	seen, err := load(context.Background(), "http://"+s.address(), n)
	if err != nil {
		t.Fatal(err)
	}
	served, err := s.durations(n)
	if err != nil {
		t.Fatal(err)
	}
	if low, high := exact(served), exact(seen); low < int64(delays[37]) || high <= low {
		t.Errorf("the server's P95 is %v and the client's %v", time.Duration(low), time.Duration(high))
	}
	if _, err := s.durations(n + 1); err == nil {
		t.Error("a request too few is not noticed")
	}
	s.close()
	if _, err := load(context.Background(), "http://"+s.address(), 1); err == nil {
		t.Error("a server that is gone is not noticed")
	}
}
