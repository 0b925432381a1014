package change

import (
	"errors"
	"log/slog"
	"net/http"
	"time"
)

// Receiver takes what is pushed to it: GitHub's webhooks, a CI's commits,
// events of anything else. It answers with JSON, and an error says what is
// wrong and how to mend it. Its methods are safe for concurrent use.
//
// Every answer of 200 is {"added": N, "duplicate": bool}, with "ignored" and
// the reason when there was nothing to take. Errors are {"error": "…"}: 400
// for what is no change, with the field's name; 401 for a wrong signature, or
// where no secret is configured; 403 for a change that names another tenant;
// 405; 413 above MaxBody; 415; 503 when too many large ones come at once.
type Receiver struct {
	// Store keeps the changes. Required.
	Store *Store
	// Branch is the one whose pushes are changes: a name, "*" for all, or
	// empty for the repository's default branch.
	Branch string
	// Denied is told of every 401 and 403; may be nil.
	Denied func(tenant, what string, status int)
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

func (rc *Receiver) now() time.Time {
	if rc.Now == nil {
		return time.Now()
	}
	return rc.Now()
}

func (rc *Receiver) log() *slog.Logger {
	if rc.Log == nil {
		return slog.Default()
	}
	return rc.Log
}

// serve answers with what take made of the body, or with why it did not.
func (rc *Receiver) serve(w http.ResponseWriter, r *http.Request, tenant, what string, take func(body []byte) (receipt, error)) {
	var got receipt
	reading, whole := readingKnown, false
	if what == webhookName {
		reading = readingAnybodys
	}
	err := withBody(w, r, reading, func(body []byte) (err error) {
		whole = true
		got, err = take(body)
		return err
	})
	if err == nil {
		answer(w, http.StatusOK, got)
		return
	}
	status := http.StatusInternalServerError
	if refused, ok := errors.AsType[*refusal](err); ok {
		status = refused.status
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if rc.Denied != nil {
			rc.Denied(tenant, what, status)
		}
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		// Whoever sent a whole body has proved to be allowed to: it is a mistake, not
		// a flood. A webhook's body that breaks off is anybody's.
		if whole {
			rc.log().Warn("a change was refused", "tenant", tenant, "what", what, "status", status, "reason", err)
		}
	}
	answer(w, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

// addAll keeps changes that came without a delivery's ID.
func (rc *Receiver) addAll(changes []Change) (receipt, error) {
	var got receipt
	for _, c := range changes {
		if _, err := tidy(c); err != nil {
			return receipt{}, wrong("%v", err)
		}
	}
	for _, c := range changes {
		added, err := rc.Store.Add(c)
		if err != nil {
			return receipt{}, wrong("%v", err)
		}
		if added {
			got.Added++
		}
	}
	got.Duplicate = len(changes) > 0 && got.Added == 0
	return got, nil
}
