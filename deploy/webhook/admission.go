package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"time"
)

const (
	// Path is where the webhook answers.
	Path = "/mutate"
	// maxReview is the most that a review may have. etcd takes no object over 1.5 MiB;
	// in JSON, with what stands around it, that is less than this.
	maxReview = 4 << 20
	// maxAtOnce bounds the reviews that are in memory.
	maxAtOnce = 16
	// maxPatience is the most that a review may take, whatever the API server
	// grants; minPatience is the least.
	minPatience = time.Second
	maxPatience = 10 * time.Second
)

// admission answers the reviews of an API server. What cannot be read is an error,
// and the API server goes on without (failurePolicy Ignore); every pod that
// can be read is admitted. It is safe for concurrent use.
type admission struct {
	decide  func(context.Context, *request) decision
	metrics *metrics
	now     func() time.Time
	log     *slog.Logger
	slots   chan struct{}
}

func newAdmission(decide func(context.Context, *request) decision, m *metrics, now func() time.Time, log *slog.Logger) *admission {
	return &admission{decide: decide, metrics: m, now: now, log: log, slots: make(chan struct{}, maxAtOnce)}
}

func (a *admission) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begin := a.now()
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if code, problem := misaddressed(r); problem != "" {
		a.refuse(w, code, problem)
		return
	}
	patience := granted(r)
	// The bound on the body's time is the real clock's, as the connection's is.
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience)); err != nil {
		a.refuse(w, http.StatusInternalServerError, "the connection cannot be given a deadline")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		a.refuse(w, http.StatusServiceUnavailable, "too many reviews at once: run more replicas")
		return
	}
	a.answer(ctx, w, r, begin)
}

// misaddressed is what is wrong with a request that is no review, empty for nothing.
func misaddressed(r *http.Request) (code int, problem string) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.URL.Path != Path:
		return http.StatusNotFound, "nothing here: reviews are answered at " + Path
	case r.Method != http.MethodPost:
		return http.StatusMethodNotAllowed, "only POST is answered here"
	case err != nil || media != "application/json":
		return http.StatusUnsupportedMediaType, "send an AdmissionReview, with Content-Type: application/json"
	}
	return 0, ""
}

// granted is how long the API server waits, which it says in the query.
func granted(r *http.Request) time.Duration {
	d, err := time.ParseDuration(r.URL.Query().Get("timeout"))
	if err != nil {
		return maxPatience
	}
	return max(minPatience, min(d, maxPatience))
}

func (a *admission) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, begin time.Time) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxReview))
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		a.refuse(w, http.StatusRequestEntityTooLarge, "the body has more than "+strconv.Itoa(maxReview>>20)+" MiB")
		return
	}
	if err != nil {
		a.refuse(w, http.StatusBadRequest, "the body ended before its end, or took too long")
		return
	}
	req, err := parseReview(body)
	if err != nil {
		a.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	d := a.decide(ctx, req)
	a.send(w, http.StatusOK, review{APIVersion: reviewVersion, Kind: reviewKind, Response: d.response(req.UID)})
	a.metrics.reviewed(d.outcome, a.now().Sub(begin))
	a.note(ctx, req, d)
}

// note logs what became of a pod.
func (a *admission) note(ctx context.Context, req *request, d decision) {
	if d.outcome == ignored || d.outcome == unchanged {
		return
	}
	level := slog.LevelInfo
	if d.outcome != injected {
		level = slog.LevelWarn
	}
	told := []any{"namespace", req.Namespace, "pod", d.pod, "dry_run", req.DryRun}
	if d.reason != "" {
		told = append(told, "reason", d.reason)
	}
	a.log.Log(ctx, level, "pod "+string(d.outcome), told...)
}

// refuse answers what is no review with a text.
func (a *admission) refuse(w http.ResponseWriter, code int, problem string) {
	a.metrics.reviewed(malformed, 0)
	a.log.Warn("not an admission review that can be answered", "status", code, "error", problem)
	a.send(w, code, struct {
		Error string `json:"error"`
	}{problem})
}

// send ignores a failed write: the API server has gone on, and nobody is left to tell.
func (a *admission) send(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		code, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body)
}
