package recovery

import (
	"fmt"
	"time"
)

// Outcome is what is known of an action after it was sent.
type Outcome string

// The outcomes.
const (
	// Accepted: the other side answered with a status of 200 to 299.
	Accepted Outcome = "accepted"
	// Refused: it answered that it does not do it.
	Refused Outcome = "refused"
	// Unsent: nothing of it was sent.
	Unsent Outcome = "unsent"
	// Unknown: it was sent, and what became of it is not known.
	Unknown Outcome = "unknown"
)

// Receipt is what became of one action, for the ledger. There is no secret in it.
type Receipt struct {
	Action        string  `json:"action"`
	ActionDigest  string  `json:"action_digest"`
	Key           string  `json:"key"`
	RequestDigest string  `json:"request_digest"`
	Outcome       Outcome `json:"outcome"`
	// Status is that of the last answer, 0 when there was none.
	Status int `json:"status"`
	// Attempts counts the tries, those included that sent nothing.
	Attempts int       `json:"attempts"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	// Response is the beginning of the last answer's body, as one line of at most
	// 300 characters with secrets struck out; ResponseDigest and ResponseBytes are
	// of all that was read of it, at most 64 KiB.
	Response       string `json:"response,omitempty"`
	ResponseDigest string `json:"response_digest,omitempty"`
	ResponseBytes  int    `json:"response_bytes"`
	// Note says what else there is to know, such as why it failed.
	Note string `json:"note,omitempty"`
}

// Error says why an action was not accepted, and how to mend that.
type Error struct {
	Outcome Outcome
	// Status is that of the last answer, 0 when there was none.
	Status     int
	Text, Mend string
	Err        error
}

func (e *Error) Error() string {
	if e.Mend == "" {
		return e.Text
	}
	return e.Text + ": " + e.Mend
}

// Unwrap returns what the connection failed with, nil when there was an answer.
func (e *Error) Unwrap() error { return e.Err }

// mend says what to do about a status.
func (a Action) mend(status int) string {
	switch {
	case status >= 300 && status <= 399:
		return "redirects are not followed, give the URL that it ends at"
	case status == 401, status == 403:
		key := "the token in the headers"
		if !a.Unsigned {
			key = "the key " + a.Secret.ID() + " or the token in the headers"
		}
		return "compare " + key + " with what the other side has"
	case status == 404, status == 410:
		return "check the url in the catalogue"
	case status == 405:
		return fmt.Sprintf("check the method, %s, in the catalogue", a.Method)
	case status == 429, status == 503:
		return "the other side asks to wait, try later"
	case status == 502, status == 504:
		return "a gateway answered in its place, look there whether it ran"
	case status >= 500:
		return "look into the log of the other side"
	}
	return "check the body and the headers in the catalogue"
}
