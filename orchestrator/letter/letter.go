package letter

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/diagnosis"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Docket is where incidents are read and links are recorded. *docket.Docket is
// one.
type Docket interface {
	Case(tenant, id string) (incident.Case, error)
	// Offer is the link of a contact, durable when it returns.
	Offer(ctx context.Context, tenant, incident, contact string) (approval.Claims, error)
}

// Writer writes messages. It is safe for concurrent use.
type Writer struct {
	Docket Docket
	// Health is a tenant's health document now, false when there is none.
	Health func(tenant string) (health.Document, bool)
	// Head is the ledger's, nil while it is not open.
	Head func() *health.Ledger
	// Key signs links and Public is what they begin with. Without both of them
	// messages have none.
	Key    *approval.Key
	Public *url.URL
}

// Compose writes the message of a parcel. Its error is that of recording the
// link, or of the context, and may pass.
func (w Writer) Compose(ctx context.Context, p outbox.Parcel) (notify.Message, error) {
	l := p.Letter
	m := notify.Message{
		ID: p.ID, Event: notify.Event(l.Event), Tenant: l.Tenant, Service: l.Service, Target: l.Target, IncidentID: l.Incident, At: l.At,
		Issue: strings.TrimPrefix(l.Text, l.Service+": "),
	}
	if p.Step != outbox.First && p.Link {
		m.Event = notify.Escalation
	}
	if head := w.Head(); head != nil {
		m.Ledger = notify.Mark{Size: head.Size, Root: head.Root}
	}
	if l.Incident == "" {
		return m, nil
	}
	if d, ok := w.Health(l.Tenant); ok {
		m.P95MS, m.ErrorRate = d.Metrics.OverallP95MS, d.Metrics.ErrorRate
		if d.Reason != health.ReasonNoData {
			m.Score = &d.HealthScore.Score
		}
	}
	// A ledger that cannot be read just now leaves the text of the entry.
	if c, err := w.Docket.Case(l.Tenant, l.Incident); err == nil {
		tell(&m, c, l)
	}
	// Nobody taps on what is read out.
	if p.Link && p.Step != outbox.Voice {
		return m, w.link(ctx, &m, p)
	}
	return m, nil
}

// room is how much of an issue may say what is wrong when an action is proposed.
const room = 80

// tell takes from the incident what a person wants to know first.
func tell(m *notify.Message, c incident.Case, l outbox.Letter) {
	m.Began = c.StartedAt
	at := slices.IndexFunc(c.Entries, func(e incident.Indexed) bool { return e.Index == l.Index })
	if at < 0 {
		return
	}
	e := c.Entries[at].Entry
	issue, _ := e.Metadata["issue"].(string)
	switch m.Event {
	case notify.Recovered, notify.Expired, notify.Failed, notify.NotRun, notify.Unknown:
		if issue != "" {
			m.Issue = issue
		}
		return
	}
	switch {
	case issue != "":
		m.Issue = issue
	case e.Reason != "": // of an earlier version, or of a gate that has no words of its own
		m.Issue = plainly(e.Reason)
	}
	m.Changes = changes(c.Entries[0].Entry)
	explain(m, c)
	if l.Asks {
		switch title, by := proposed(c.Entries[:at]); {
		case title == "":
		case by != "":
			m.Issue = brief(m.Issue) + ". " + by + " asks for: " + title
		default:
			m.Issue = brief(m.Issue) + ". Proposed: " + title
		}
	}
}

// explain adds what may be the cause, as the last diagnosis has it. Without one, and
// when there is too little confidence in it, the figures stand for themselves.
func explain(m *notify.Message, c incident.Case) {
	g, ok := c.Diagnosis()
	if !ok || g.Withheld || len(g.Theories) == 0 || g.Confidence < diagnosis.MinConfidence {
		return
	}
	var named []string
	for _, t := range g.Theories {
		named = append(named, strings.ReplaceAll(t.Cause, "_", " ")+" ("+t.By+")")
	}
	m.Cause, m.Confidence, m.Apart = strings.Join(named, " or "), &g.Confidence, g.TellApart
}

// brief is an issue that leaves room for what is proposed. Details in brackets go
// first, so that no sentence ends within them.
func brief(issue string) string {
	if head, _, details := strings.Cut(issue, " ("); details && utf8.RuneCountInString(issue) > room {
		issue = head
	}
	return plain.Line(issue, room)
}

// plainly is a reason without the score, which is among the figures, and without what
// stands before it: why people are asked late says nothing of what is wrong.
func plainly(reason string) string {
	before, why, scored := strings.Cut(reason, "score ")
	if !scored || before != "" && !strings.HasSuffix(before, ": ") {
		return reason
	}
	if _, rest, more := strings.Cut(why, ": "); more {
		return rest
	}
	return "score " + why
}

// changes are the lines of what changed before, as the detection has them.
func changes(detected incident.Entry) []string {
	list, _ := detected.Metadata["changes"].([]any)
	var lines []string
	for _, item := range list {
		if line, ok := item.(string); ok {
			lines = append(lines, line)
		}
	}
	return lines
}

// proposed is the title of the action that was proposed last, empty when there
// is none, and who asked for it, empty when the policy did.
func proposed(entries []incident.Indexed) (title, by string) {
	for _, e := range slices.Backward(entries) {
		if a, ok := e.Entry.Metadata["approval"].(map[string]any); ok && by == "" {
			by, _ = a["submitted_by"].(string)
		}
		// A request is only what somebody wants to be asked.
		if p, ok := e.Entry.Metadata["proposal"].(map[string]any); ok && e.Entry.Kind != incident.KindRequested {
			title, _ = p["title"].(string)
			break
		}
	}
	return title, strings.TrimPrefix(by, "human:")
}

// link adds the link of the parcel's contact. When nothing is asked any more
// the message goes without.
func (w Writer) link(ctx context.Context, m *notify.Message, p outbox.Parcel) error {
	if w.Key == nil || w.Public == nil {
		return nil
	}
	c, err := w.Docket.Offer(ctx, p.Letter.Tenant, p.Letter.Incident, p.Contact)
	switch {
	case errors.Is(err, docket.ErrNoLink), errors.Is(err, docket.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	token, err := w.Key.Mint(c)
	if err != nil {
		return err
	}
	m.Link, m.Expires = approval.Link(w.Public, token), c.ExpiresAt
	return nil
}
