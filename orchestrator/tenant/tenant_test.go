package tenant

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// fakeDocket hands every observation on.
type fakeDocket struct {
	observations chan incident.Observation
	view         docket.View
}

func (f *fakeDocket) Submit(o incident.Observation)   { f.observations <- o }
func (f *fakeDocket) View(string) (docket.View, bool) { return f.view, true }
func newFakeDocket() *fakeDocket {
	return &fakeDocket{observations: make(chan incident.Observation, 64)}
}
func (f *fakeDocket) next(t *testing.T) incident.Observation { t.Helper(); return <-f.observations }

// watched is a tenant whose document and clock the test sets.
type watched struct {
	*Tenant
	docket *fakeDocket
	ticks  chan time.Time
	now    atomic.Int64 // unix seconds
	answer atomic.Pointer[string]
	log    *strings.Builder
}

const healthy = `{"status":"ok","health_score":{"score":97},"metrics":{"overall_p95_ms":80,"error_rate":0,"sample_size":200}}`

func watch(t *testing.T, id string) *watched {
	t.Helper()
	w := &watched{docket: newFakeDocket(), ticks: make(chan time.Time), log: new(strings.Builder)}
	w.now.Store(1_773_478_800)
	w.say(healthy)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		if text := *w.answer.Load(); text != "" {
			_, _ = io.WriteString(rw, text)
			return
		}
		rw.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(srv.Close)
	var err error
	w.Tenant, err = New(Options{
		Config: Config{ID: id, Service: "the " + id, HealthURL: srv.URL}, Secret: secret,
		Policy: policy.Default(), Docket: w.docket, Instance: "here-1",
		Now: func() time.Time { return time.Unix(w.now.Load(), 0) }, Ticks: w.ticks, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *watched) say(text string) { w.answer.Store(&text) }

// run runs the tenant until the test stops it.
func (w *watched) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// tick moves the clock on and returns what came of it.
func (w *watched) tick(t *testing.T, seconds int64) incident.Observation {
	t.Helper()
	w.now.Add(seconds)
	w.ticks <- time.Time{}
	return w.docket.next(t)
}

func TestATenantIsDecidedOnByItsDocument(t *testing.T) {
	w := watch(t, "shop")
	w.docket.view = docket.View{Ready: true, Incident: &health.Incident{IncidentID: "inc-1", Stage: "DETECTED"}}
	stop := w.run(t)
	o := w.docket.next(t)
	if o.Tenant != "shop" || o.Service != "the shop" || o.Instance != "here-1" || o.Window != nil || string(o.Document) != healthy {
		t.Errorf("observed %+v", o)
	}
	if r := o.Input.Reported; r == nil || r.Status != health.OK || r.Score != 97 {
		t.Errorf("reported %+v", r)
	}
	if c := o.Input.Checks; len(c) != 1 || c[0].Target != Target || !c[0].OK {
		t.Errorf("checks %+v", c)
	}
	if o.After.Targets[Target].State != policy.Up {
		t.Errorf("targets %+v", o.After.Targets)
	}
	next := w.tick(t, 5)
	if fmt.Sprint(next.Before.Targets) != fmt.Sprint(o.After.Targets) {
		t.Errorf("the state was not carried on: %+v after %+v", next.Before, o.After)
	}
	w.say(`{"status":"critical","health_score":{"score":20},"metrics":{"overall_p95_ms":9000,"error_rate":0.6,"sample_size":200}}`)
	if bad := w.tick(t, 5); !bad.Decision.Breached || len(bad.Decision.Breaches) == 0 {
		t.Errorf("a critical document: %+v", bad.Decision)
	}
	stop()
	var doc health.Document
	if err := json.Unmarshal(w.JSON(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.ServiceName != "the shop" || doc.Status != health.Critical || doc.Incident == nil || doc.Incident.IncidentID != "inc-1" {
		t.Errorf("published %+v", doc)
	}
}

func TestADocumentThatDoesNotComeIsAFailedCheck(t *testing.T) {
	w := watch(t, "shop")
	stop := w.run(t)
	w.docket.next(t)
	w.say("")
	o := w.tick(t, 5)
	if c := o.Input.Checks[0]; c.OK || c.Reason != "status 502 instead of 200" || o.Input.Reported != nil || o.Input.Measurement.Window.Samples != 0 {
		t.Errorf("input %+v", o.Input)
	}
	w.say(`{"status":"ok","metrics":{"error_rate":-1}}`)
	o = w.tick(t, 5)
	if c := o.Input.Checks[0]; c.OK || !strings.Contains(c.Reason, `"error_rate" is -1`) || o.Document != nil {
		t.Errorf("input %+v", o.Input)
	}
	if o.After.Targets[Target].State != policy.Down || !o.Decision.Breached {
		t.Errorf("after two failures %+v, %+v", o.After.Targets, o.Decision)
	}
	w.say(healthy)
	if o = w.tick(t, 5); o.After.Targets[Target].State != policy.Up {
		t.Errorf("after a success %+v", o.After.Targets)
	}
	stop()
	text := w.log.String()
	if strings.Count(text, "cannot be read") != 1 || strings.Count(text, "can be read again") != 1 || !strings.Contains(text, "tenant=shop") || strings.Contains(text, secret) {
		t.Errorf("logged\n%s", text)
	}
}

func TestADocumentThatNobodyMakesAnewIsNone(t *testing.T) {
	w := watch(t, "shop")
	w.say(`{"status":"ok","timestamp":7,"metrics":{"sample_size":200,"overall_p95_ms":80}}`)
	stop := w.run(t)
	defer stop()
	w.docket.next(t)
	if o := w.tick(t, 60); !o.Input.Checks[0].OK {
		t.Errorf("after 60 s: %+v", o.Input.Checks)
	}
	if o := w.tick(t, 5); o.Input.Checks[0].OK || !strings.Contains(o.Input.Checks[0].Reason, "for 1m5s that it is of the same moment") {
		t.Errorf("after 65 s: %+v", o.Input.Checks)
	}
	w.say(`{"status":"ok","timestamp":8,"metrics":{"sample_size":200,"overall_p95_ms":80}}`)
	if o := w.tick(t, 5); !o.Input.Checks[0].OK {
		t.Errorf("with a new stamp: %+v", o.Input.Checks)
	}
}

func TestTenantsDoNotTouchEachOther(t *testing.T) {
	a, b := watch(t, "a"), watch(t, "b")
	a.decide = func(policy.State, policy.Input, *policy.Policy) (policy.State, policy.Decision) { panic("of a") }
	a.say("")
	stopA, stopB := a.run(t), b.run(t)
	b.docket.next(t)
	a.ticks <- time.Time{} // taken: the panic before has not ended it
	if o := b.tick(t, 5); o.Tenant != "b" || !o.Input.Checks[0].OK || len(o.After.Targets) != 1 {
		t.Errorf("b has %+v", o)
	}
	stopA()
	stopB()
	if len(a.docket.observations) != 0 || !strings.Contains(a.log.String(), "of a") || strings.Contains(b.log.String(), "of a") {
		t.Errorf("a's log\n%s\nb's log\n%s", a.log, b.log)
	}
}

func TestThereIsADocumentFromTheBeginning(t *testing.T) {
	w := watch(t, "shop")
	var doc health.Document
	if err := json.Unmarshal(w.JSON(), &doc); err != nil || doc.Reason != health.ReasonNoData || doc.ServiceName != "the shop" {
		t.Errorf("%+v, %v", doc, err)
	}
	if _, err := New(Options{}); err == nil {
		t.Error("a tenant of nothing was accepted")
	}
}

func TestWithoutTicksItAsksEveryFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newFakeDocket()
		tn, err := New(Options{
			Config: Config{ID: "shop", HealthURL: "http://shop.test"}, Policy: policy.Default(), Docket: d, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		tn.source.client = &http.Client{Transport: answering(healthy)}
		begin := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- tn.Run(ctx) }()
		first := d.next(t)
		if late := time.Since(begin); late > Interval {
			t.Errorf("the first time after %v", late)
		}
		if second := d.next(t); second.Input.Time.Sub(first.Input.Time) != Interval || !second.Input.Checks[0].OK {
			t.Errorf("%+v after %+v", second.Input, first.Input)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// answering is a transport that answers everything with the same text.
type answering string

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}
