package approval

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Desk is who knows the requests and has decisions recorded. Both methods must be
// safe for concurrent use. Their claims come from tokens that were verified.
type Desk interface {
	// Look returns what the page shows, with where the request stands for this
	// link. It changes nothing. It is asked for links that have expired as well.
	Look(ctx context.Context, c Claims) (View, error)
	// Decide has a decision recorded. The outcome is returned once its entry is
	// durable, and there is one entry that decides, whatever comes at once.
	Decide(ctx context.Context, c Claims, v Verdict) (Outcome, error)
}

// ErrNoRequest is for a desk that knows no request of the claims.
var ErrNoRequest = errors.New("there is no request of this link")

// Refusal is a decision that was refused before the desk was asked.
type Refusal struct {
	Reason Reason
	// Claims are those of a token that is genuine, zero of any other.
	Claims Claims
	Status int    // of the answer
	What   string // method and path
}

// Options are what a handler needs.
type Options struct {
	Key  *Key
	Desk Desk
	// Public is the URL under which people reach the handler.
	Public *url.URL
	// TrustedProxies are those whose X-Forwarded-For is believed, for limits.
	TrustedProxies []netip.Prefix
	// Refused is told of each refused decision, to record it; never of a GET. It
	// must not block.
	Refused func(Refusal)
	Now     func() time.Time
	Log     *slog.Logger
}

const (
	// decideIn is how long recording a decision may take. It goes on when the
	// phone that sent it is gone.
	decideIn = 15 * time.Second
	// lingers is how long an expired link still says what became of it.
	lingers = 24 * time.Hour
)

// Handler is the public side of approvals. It is safe for concurrent use.
type Handler struct {
	o       Options
	policy  string // Content-Security-Policy
	wrong   *limiter[netip.Prefix]
	looks   *limiter[string]
	decides *limiter[string]
	expired *limiter[string]
}

// NewHandler returns a handler of [Path] and the two paths below it.
func NewHandler(o Options) (*Handler, error) {
	if o.Key == nil || o.Desk == nil || o.Public == nil || o.Refused == nil || o.Now == nil || o.Log == nil {
		return nil, errors.New("approvals need a key, a desk, a public URL, a clock, a log and somebody to tell of refusals")
	}
	return &Handler{
		o: o, policy: contentPolicy(), wrong: newLimiter[netip.Prefix](wrongAllowed),
		looks: newLimiter[string](lookAllowed), decides: newLimiter[string](decideAllowed), expired: newLimiter[string](expiredAllowed),
	}, nil
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.secure(w.Header())
	path := r.URL.Path
	if !strings.HasPrefix(path, Path) { // the proxy has left the public URL's path in it
		path = strings.TrimPrefix(path, strings.TrimSuffix(h.o.Public.Path, "/"))
	}
	switch path {
	case Path:
		if h.method(w, r, http.MethodGet, http.MethodHead) {
			h.look(w, r)
		}
	case Path + "/confirm":
		if h.method(w, r, http.MethodPost) {
			h.decide(w, r, true)
		}
	case Path + "/reject":
		if h.method(w, r, http.MethodPost) {
			h.decide(w, r, false)
		}
	default:
		h.answer(w, noticePage(notice{"There is nothing here", "wait", []string{"Open the link from the message again."}, 0}), http.StatusNotFound)
	}
}

// secure sets what every answer has.
func (h *Handler) secure(header http.Header) {
	for name, value := range map[string]string{
		"Cache-Control":                "no-store",
		"Content-Security-Policy":      h.policy,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy":              "no-referrer",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"X-Robots-Tag":                 "noindex, nofollow, noarchive",
	} {
		header.Set(name, value)
	}
}

func (h *Handler) method(w http.ResponseWriter, r *http.Request, allowed ...string) bool {
	for _, m := range allowed {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	h.answer(w, noticePage(notice{"Not decided", "wait", []string{"Open the link from the message, and decide on the page it leads to."}, 0}), http.StatusMethodNotAllowed)
	return false
}

func (h *Handler) answer(w http.ResponseWriter, page []byte, status int) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(page)))
	w.WriteHeader(status)
	_, _ = w.Write(page) // who has gone does not read it
}

func (h *Handler) tooMany(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "10")
	h.answer(w, noticePage(notice{"Too often", "wait", []string{"This was asked for too often in a short time. Nothing was decided.", "Wait ten seconds and try again."}, 0}), http.StatusTooManyRequests)
}

// look shows a request. It changes nothing, ever: chat apps, mail scanners and
// browsers fetch links that nobody tapped.
func (h *Handler) look(w http.ResponseWriter, r *http.Request) {
	now := h.o.Now()
	token := only(r.URL.Query(), "token")
	c, err := h.o.Key.Verify(token, now)
	if err != nil {
		h.lookRefused(w, r, c, reasonIn(err), now)
		return
	}
	if !h.looks.take(c.ID, now) {
		h.tooMany(w)
		return
	}
	v, err := h.o.Desk.Look(r.Context(), c)
	if err != nil {
		h.troubled(w, "look", err)
		return
	}
	page, status := requestPage(v, c, token, h.o.Key.code(token), now)
	h.answer(w, page, status)
}

func reasonIn(err error) Reason {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return Malformed
}

// lookRefused shows why a link is not good. One that was, and has expired, says
// for a day what became of it, and nothing else.
func (h *Handler) lookRefused(w http.ResponseWriter, r *http.Request, c Claims, why Reason, now time.Time) {
	if !h.admitRefused(r, c, why, now) {
		h.tooMany(w)
		return
	}
	n := h.afterwards(r.Context(), c, why, now)
	h.answer(w, noticePage(n), n.status)
}

func (h *Handler) admitRefused(r *http.Request, c Claims, why Reason, now time.Time) bool {
	if why == TooLate {
		return h.expired.take(c.ID, now)
	}
	return h.wrong.take(clientOf(r, h.o.TrustedProxies), now)
}

// afterwards explains a link that is no good, or any more.
func (h *Handler) afterwards(ctx context.Context, c Claims, why Reason, now time.Time) notice {
	n := refusalNotice(why)
	if why != TooLate || now.Sub(c.ExpiresAt) > lingers {
		return n
	}
	v, err := h.o.Desk.Look(ctx, c)
	if err != nil || v.Standing.Kind != Already && v.Standing.Kind != Recovered && v.Standing.Decided != StepExpired {
		return n
	}
	n = noticeOf(v.Standing, v, c.Contact, false, now)
	n.status = http.StatusGone
	return n
}

// decide takes a tap.
func (h *Handler) decide(w http.ResponseWriter, r *http.Request, approve bool) {
	now := h.o.Now()
	f, err := readForm(w, r)
	if err != nil {
		h.badForm(w, err)
		return
	}
	c, err := h.o.Key.Verify(f.token, now)
	if err != nil {
		h.decideRefused(w, r, c, reasonIn(err), now)
		return
	}
	if !h.decides.take(c.ID, now) {
		h.tooMany(w)
		return
	}
	switch {
	case !sameSite(r, h.o.Public):
		h.refuse(w, r, c, refusalNotice(CrossSite), CrossSite)
		return
	case !sameCode(f.code, h.o.Key.code(f.token)):
		h.refuse(w, r, c, refusalNotice(NoForm), NoForm)
		return
	}
	// A tap on a bad line counts, whether or not its answer arrives.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), decideIn)
	defer cancel()
	o, err := h.o.Desk.Decide(ctx, c, Verdict{Approve: approve, Reason: plain.Line(f.reason, maxWhy), Trusted: plain.Line(f.trusted, maxID)})
	if err == nil && o.Kind == Open {
		err = errors.New("the desk decided nothing")
	}
	if err != nil {
		h.troubled(w, "decide", err)
		return
	}
	// What is looked up now only names things: that it was decided is known.
	v, err := h.o.Desk.Look(ctx, c)
	if err != nil {
		v = View{Incident: c.Incident}
	}
	n := noticeOf(o, v, c.Contact, true, now)
	h.answer(w, resultPage(n, v, f.token), n.status)
}

func (h *Handler) decideRefused(w http.ResponseWriter, r *http.Request, c Claims, why Reason, now time.Time) {
	if !h.admitRefused(r, c, why, now) {
		h.tooMany(w)
		return
	}
	h.refuse(w, r, c, h.afterwards(r.Context(), c, why, now), why)
}

// refuse answers a decision that counts for nothing, and has it recorded.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, c Claims, n notice, why Reason) {
	h.o.Refused(Refusal{Reason: why, Claims: c, Status: n.status, What: r.Method + " " + r.URL.Path})
	h.answer(w, noticePage(n), n.status)
}

// badForm answers what no browser sends from our page.
func (h *Handler) badForm(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	switch {
	case errors.Is(err, errFormSize):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, errFormKind):
		status = http.StatusUnsupportedMediaType
	}
	h.answer(w, noticePage(notice{"Not decided", "stop", []string{sentence(err.Error()), nothingRan, mends[NoForm]}, 0}), status)
}

// troubled answers when the desk cannot.
func (h *Handler) troubled(w http.ResponseWriter, what string, err error) {
	if errors.Is(err, ErrNoRequest) {
		n := refusalNotice(UnknownLink)
		h.answer(w, noticePage(n), n.status)
		return
	}
	h.o.Log.Warn("an approval page failed", "what", what, "err", err)
	n := notice{"Not now", "stop", []string{"The ledger cannot be asked at the moment.", "Open the link again in a few seconds, while it is good."}, 0}
	if what == "decide" {
		n.text = []string{
			"Your decision could not be recorded for certain, and nothing runs without its record.",
			"Open the link again to see where it stands, and decide again if it is still open.",
		}
	}
	w.Header().Set("Retry-After", "5")
	h.answer(w, noticePage(n), http.StatusServiceUnavailable)
}
