package journal

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/orchestrator/health"
)

func settings(dir string) Config {
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	return Config{
		Ledger:  ledger.Options{Dir: dir, Origin: "countersign/payments", MinFree: 1},
		Service: "payments", Instance: "pod-1", Version: "v1",
		Policy: health.Policy{Version: "default", Digest: "sha256:00"},
		Log:    slog.New(slog.DiscardHandler),
		Now:    func() time.Time { return at },
	}
}

// running is a journal whose Run is under way.
type running struct {
	*Journal
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	j, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{Journal: j, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- j.Run(ctx) }()
	t.Cleanup(cancel)
	return r
}

// stop ends the run and returns its error.
func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// awaitSize waits until the ledger has that many entries.
func (r *running) awaitSize(t *testing.T, size uint64) Report {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if report := r.Report(); report.Size >= size {
			return report
		}
	}
	t.Fatalf("the ledger has not reached %d entries: %+v", size, r.Report())
	return Report{}
}

func ask(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestRecordsItsOwnLife(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	j := start(t, settings(dir))
	report := j.awaitSize(t, 2)
	if report.State != Open || report.Origin != "countersign/payments" || !strings.HasPrefix(report.Key, "countersign/payments+") {
		t.Errorf("report is %+v", report)
	}
	if head, problem := j.Head(); head == nil || head.Size != 2 || head.Root != report.Root || problem != "" {
		t.Errorf("head is %+v, %q", head, problem)
	}
	if w := ask(j, "/checkpoint"); w.Code != http.StatusOK || !strings.HasPrefix(w.Body.String(), "countersign/payments\n2\n") {
		t.Errorf("checkpoint is %d %q", w.Code, w.Body)
	}
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	if r := j.Report(); r.State != Closed {
		t.Errorf("after the end the state is %q", r.State)
	}

	log, err := ledger.Open(t.Context(), settings(dir).Ledger)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	var kinds []string
	for r, err := range log.Entries(0, 0) {
		if err != nil {
			t.Fatal(err)
		}
		var e entry
		if err := json.Unmarshal(r.Leaf, &e); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Kind)
		if r.Index > 0 && (e.Service != "payments" || e.Instance != "pod-1" || e.Actor != "system" || e.PolicyDigest != "sha256:00" || e.Metadata.Version != "v1") {
			t.Errorf("entry %d is %s", r.Index, r.Leaf)
		}
	}
	if got := strings.Join(kinds, " "); got != "ledger.created sidecar.started sidecar.stopped" {
		t.Errorf("the ledger has %s", got)
	}
}

// A clock that has gone back does not make the ledger's times go back.
func TestAClockThatGoesBack(t *testing.T) {
	cfg := settings(filepath.Join(t.TempDir(), "data"))
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	cfg.Now = func() time.Time { return now }
	j := start(t, cfg)
	j.awaitSize(t, 2)
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	late := now
	now = now.Add(-time.Hour)
	log, err := ledger.Open(t.Context(), cfg.Ledger)
	if err == nil {
		_, err = log.Append(t.Context(), []ledger.Entry{{Leaf: []byte(`{"v":1,"kind":"other.step","time":"2026-01-02T02:04:05Z"}`)}})
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	j = start(t, cfg)
	j.awaitSize(t, 5)
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	now = late.Add(time.Hour)
	if log, err = ledger.Open(t.Context(), cfg.Ledger); err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	for r, err := range log.Entries(4, 6) {
		var e entry
		if err != nil || json.Unmarshal(r.Leaf, &e) != nil || !e.Time.Equal(late) {
			t.Errorf("entry %d is %s, %v", r.Index, r.Leaf, err)
		}
	}
}

// A ledger that does not hold what was acknowledged is not kept; it says so
// and stops nothing else.
func TestLedgerThatCannotBeOpened(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	j := start(t, settings(dir))
	j.awaitSize(t, 2)
	if err := j.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "anchor")); err != nil {
		t.Fatal(err)
	}

	j = start(t, settings(dir))
	if err := <-j.done; err == nil || !strings.Contains(err.Error(), "is not kept") {
		t.Errorf("Run ended with %v", err)
	}
	if r := j.Report(); r.State != Failed || !strings.Contains(r.Problem, "anchor") {
		t.Errorf("report is %+v", r)
	}
	if head, problem := j.Head(); head != nil || !strings.Contains(problem, "anchor") {
		t.Errorf("the head of a failed ledger is %+v, %q", head, problem)
	}
	if w := ask(j, "/checkpoint"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "anchor") {
		t.Errorf("checkpoint is %d %q", w.Code, w.Body)
	}
}

func TestBeforeItIsOpen(t *testing.T) {
	j, err := New(settings(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	head, problem := j.Head()
	if r := j.Report(); r.State != Checking || head != nil || problem != "" {
		t.Errorf("report is %+v, head %v, %q", r, head, problem)
	}
	if w := ask(j, "/checkpoint"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "checking") {
		t.Errorf("checkpoint is %d %q", w.Code, w.Body)
	}
}

func TestOperatorsMistake(t *testing.T) {
	cfg := settings(t.TempDir())
	cfg.Ledger.Signer = "not a key"
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("New says %v", err)
	}
}
