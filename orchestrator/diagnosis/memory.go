package diagnosis

import (
	"slices"
	"strings"
	"time"
)

// Earlier is what is remembered of an incident that has ended.
type Earlier struct {
	IncidentID string    `json:"incident_id"`
	Signature  string    `json:"signature"`
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	// Stage is how it ended, such as "RESOLVED".
	Stage string `json:"stage"`
	// Cause is what a person said it was, or else what was diagnosed; empty when
	// neither. Confirmed says that a person did.
	Cause     Cause `json:"cause,omitempty"`
	Confirmed bool  `json:"confirmed,omitempty"`
	// Action is what was executed, empty when nothing was.
	Action string `json:"action,omitempty"`
}

// ending says in a few words how it ended.
func (e *Earlier) ending() string {
	text := "ended " + e.Stage
	if !e.EndedAt.IsZero() && e.EndedAt.After(e.StartedAt) {
		text += " after " + brief(e.EndedAt.Sub(e.StartedAt).Seconds())
	}
	if e.Action != "" {
		text += ", having run " + e.Action
	}
	if e.Cause.Valid() && e.Cause != Unknown {
		text += ", cause " + string(e.Cause)
		if e.Confirmed {
			text += " as a person confirmed"
		}
	}
	return text
}

// Memory are the incidents that ended, in any order: a fold of the ledger.
type Memory []Earlier

// Like are those with a signature, but for the incident itself, newest first.
func (m Memory) Like(signature, incidentID string) []Earlier {
	var like []Earlier
	for _, e := range m {
		if signature != "" && e.Signature == signature && e.IncidentID != incidentID {
			like = append(like, e)
		}
	}
	slices.SortStableFunc(like, func(a, b Earlier) int { return b.StartedAt.Compare(a.StartedAt) })
	return like
}

// signatureOf is what incidents that look alike have in common: whether it is
// slow or failing, by what failures and statuses, on one route, some or all, and
// how the load is. It has no figures in it, so that small differences do not
// count; the route is a part of it where it is only one.
func signatureOf(e *Evidence) string {
	var parts []string
	if f := e.Find(ErrorRate); f != nil && f.Value >= 0.05 {
		parts = append(parts, "failing")
	}
	if f := e.Find(LatencyP95); f != nil && f.Usual != nil && f.Value >= 2**f.Usual && f.Value >= *f.Usual+50 {
		parts = append(parts, "slow")
	}
	for _, n := range []Name{Failure, StatusCode} {
		if f := e.Find(n); f != nil && f.Part != nil && *f.Part >= 0.02 && (n == Failure || f.Subject >= "500") {
			parts = append(parts, f.Subject)
		}
	}
	if f := e.Find(RoutesBad); f != nil {
		switch bad := badRoutes(e); {
		case len(bad) == 1 && f.Value < 0.6:
			parts = append(parts, "one route "+bad[0].Subject)
		case f.Value >= 0.75:
			parts = append(parts, "all routes")
		case f.Value > 0:
			parts = append(parts, "some routes")
		}
	}
	if f := e.Find(Offered); f != nil && f.Usual != nil {
		switch {
		case f.Value >= 1.5**f.Usual:
			parts = append(parts, "more load")
		case f.Value <= 0.5**f.Usual:
			parts = append(parts, "less load")
		}
	}
	return strings.Join(parts, "; ")
}

// badRoutes are the routes that are bad, the worst first.
func badRoutes(e *Evidence) []*Fact {
	var bad []*Fact
	for _, f := range e.All(RouteFact) {
		if f.Bad {
			bad = append(bad, f)
		}
	}
	return bad
}
