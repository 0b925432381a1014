package tenant

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/health"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parsed(t *testing.T, data []byte) Document {
	t.Helper()
	d, err := ParseDocument(data)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocumentsOfEveryKind(t *testing.T) {
	d := parsed(t, read(t, "alertengine.json"))
	w := d.Figures
	if d.Reported.Status != health.Warning || d.Reported.Score != 61 || d.Stamp != "1773478800" || d.PerSecond != 0 {
		t.Errorf("AlertEngine's: %+v", d)
	}
	if *w.P95MS != 1847.3 || *w.WebhookP95MS != 910.4 || *w.APIP95MS != 1720.1 || w.P50MS != nil || w.Samples != 187 || w.Requests != 187 || w.ServerErrors != 15 || w.SpanSeconds != 0 {
		t.Errorf("AlertEngine's figures: %+v", w)
	}
	d = parsed(t, read(t, "alertengine_1_1.json"))
	w = d.Figures
	if d.Reported.Status != health.Critical || d.Reported.Score != 12.5 || *w.P95MS != 3120 || *w.P50MS != 240 || w.Samples != 200 || w.ServerErrors != 25 {
		t.Errorf("the older AlertEngine's: %+v, %+v", d, w)
	}
	d = parsed(t, read(t, "countersign.json"))
	if d.Figures.P95MS == nil || d.Figures.P95BracketMS == nil || d.Figures.Samples == 0 || d.PerSecond <= 0 || d.Figures.SpanSeconds <= 0 || len(d.Routes) == 0 {
		t.Errorf("Countersign's: %+v", d)
	}
}

func TestWhatADocumentMayLeaveOut(t *testing.T) {
	for _, c := range []struct {
		text    string
		samples uint64
		score   float64
	}{
		{`{"status":"ok","metrics":{}}`, 0, 100},
		{`{"status":"ok","metrics":{},"health_score":null,"timestamp":null,"routes":null}`, 0, 100},
		{`{"status":"ok","health_score":44.5,"metrics":{"overall_p95_ms":3}}`, 0, 44.5},
		{`{"status":"ok","health_score":{},"metrics":{"sample_size":12.0}}`, 12, 100},
		{`{"status":"ok","reason":"no_data","metrics":{"overall_p95_ms":0,"sample_size":7}}`, 0, 100},
		{`{"status":"ok","metrics":{"overall_p95_ms":null,"error_rate":null,"sample_size":0}}` + "\n", 0, 100},
		{`{"status":"ok","metrics":{"sample_size":3},"new":{"deep":[1,2,{"er":3}]}}`, 3, 100},
	} {
		d := parsed(t, []byte(c.text))
		if d.Figures.Samples != c.samples || d.Reported.Score != c.score {
			t.Errorf("%s: %+v", c.text, d)
		}
	}
}

func TestHostileDocuments(t *testing.T) {
	metric := func(s string) string { return `{"status":"ok","metrics":{` + s + `}}` }
	for _, c := range []struct{ text, want string }{
		{``, "is not JSON"},
		{`null`, `"status" is missing`},
		{`[]`, "is no JSON object"},
		{`"ok"`, "is no JSON object"},
		{`<html>`, "is not JSON"},
		{`{"status":"ok","metrics":{}`, "is not JSON"},
		{`{"status":"ok","metrics":{}} {}`, "behind its end"},
		{`{"status":"ok","metrics":{}} x`, "behind its end"},
		{strings.Repeat("[", 200_000), "is not JSON"},
		{`{"status":` + strings.Repeat(`{"a":`, 20_000), "is not JSON"},
		{`{}`, `"status" is missing`},
		{`{"status":"fine","metrics":{}}`, "must be ok, warning or critical"},
		{`{"status":7,"metrics":{}}`, `something else than a text as "status"`},
		{`{"status":"ok"}`, `"metrics" are missing`},
		{`{"status":"ok","metrics":[]}`, `something else than a JSON object as "metrics"`},
		{`{"status":"ok","metrics":{},"health_score":"61"}`, `must have a number as "score"`},
		{`{"status":"ok","metrics":{},"health_score":{"score":"61"}}`, `must have a number as "score"`},
		{`{"status":"ok","metrics":{},"health_score":{"score":101}}`, `"health_score" is 101`},
		{`{"status":"ok","metrics":{},"system_health":-1}`, `"health_score" is -1`},
		{`{"status":"ok","metrics":{},"timestamp":"` + strings.Repeat("9", 80) + `"}`, `"timestamp" has more`},
		{metric(`"error_rate":NaN`), "is not JSON"},
		{metric(`"error_rate":"NaN"`), `something else than a number as "metrics.error_rate"`},
		{metric(`"error_rate":1.0001`), `"error_rate" is 1.0001`},
		{metric(`"error_rate":-0.5`), `"error_rate" is -0.5`},
		{metric(`"error_rate_percent":100.5`), `"error_rate_percent" is 100.5`},
		{metric(`"overall_p95_ms":-1`), `"overall_p95_ms" is -1`},
		{metric(`"overall_p95_ms":1e10`), `"overall_p95_ms" is 1e+10`},
		{metric(`"overall_p95_ms":1e999`), "something else than a number"},
		{metric(`"p95_latency_ms":-1`), `"p95_latency_ms" is -1`},
		{metric(`"sample_size":-3`), `"sample_size" is -3`},
		{metric(`"sample_size":1e300`), `"sample_size" is 1e+300`},
		{metric(`"in_flight":-3`), `"in_flight" is -3`},
		{metric(`"p95_bracket_ms":[1,-2]`), "out of its bounds"},
		{`{"status":"ok","metrics":{},"routes":[{"route":"GET /\u001b[2J"}]}`, "cannot be shown"},
		{`{"status":"ok","metrics":{},"routes":[{"route":"` + strings.Repeat("x", 400) + `"}]}`, "cannot be shown"},
		{`{"status":"ok","metrics":{},"routes":[{"route":"GET /","p95_ms":-1}]}`, "number out of its bounds"},
		{`{"status":"ok","metrics":{},"routes":[{"route":"GET /","sample_size":-1}]}`, "number out of its bounds"},
	} {
		if _, err := ParseDocument([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: %v, want %q", c.text, err, c.want)
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf(`{"route":"GET /%d","sample_size":1}`, i))
	}
	d := parsed(t, []byte(`{"status":"ok","metrics":{},"routes":[`+strings.Join(list, ",")+`]}`))
	if len(d.Routes) != maxRoutes {
		t.Errorf("%d routes", len(d.Routes))
	}
}

func TestATickCountsRequestsOnce(t *testing.T) {
	at := time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)
	d := parsed(t, []byte(`{"status":"ok","metrics":{"overall_p95_ms":80,"max_ms":95,"error_rate":0.1,"sample_size":600,"requests_per_second":10}}`))
	for _, c := range []struct {
		since            time.Duration
		requests, errors uint64
	}{{5 * time.Second, 50, 5}, {20 * time.Second, 200, 20}, {time.Hour, 600, 60}, {0, 0, 0}} {
		m := d.Measurement(at, c.since)
		if m.Tick.Requests != c.requests || m.Tick.Errors != c.errors {
			t.Errorf("since %v: %+v", c.since, m.Tick)
		}
		if m.Tick.Samples != 600 || m.Tick.P95MS != 80 || m.Tick.MaxMS != 95 || m.Window.SpanSeconds != 60 || m.UnixMilli != at.UnixMilli() {
			t.Errorf("since %v: %+v", c.since, m)
		}
	}
	// Nobody knows how old the requests of AlertEngine's window are.
	if m := parsed(t, read(t, "alertengine.json")).Measurement(at, 5*time.Second); m.Tick.Requests != 0 || m.Tick.Samples != 187 || m.Tick.MaxMS != 1847.3 {
		t.Errorf("AlertEngine's tick: %+v", m.Tick)
	}
}

func FuzzParseDocument(f *testing.F) {
	for _, name := range []string{"alertengine.json", "alertengine_1_1.json", "countersign.json"} {
		f.Add(read(f, name))
	}
	f.Add([]byte(`{"status":"ok","metrics":{"sample_size":1e12,"error_rate":1,"requests_per_second":1e12}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseDocument(data)
		if err != nil {
			return
		}
		m := d.Measurement(time.Unix(1_700_000_000, 0), Interval)
		for _, p := range []*float64{m.Window.P95MS, m.Window.P50MS, m.Window.MaxMS, m.Window.ErrorRate(), &m.Tick.P95MS, &d.Reported.Score} {
			if p != nil && (math.IsNaN(*p) || *p < 0 || *p > maxLatencyMS) {
				t.Fatalf("%v came of %q", *p, data)
			}
		}
		if m.Window.Errors() > m.Window.Requests || m.Tick.Errors > m.Tick.Requests {
			t.Fatalf("more errors than requests, %+v, came of %q", m, data)
		}
	})
}
