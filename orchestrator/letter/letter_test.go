package letter

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/docket"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

var begin = time.Date(2026, 3, 4, 3, 0, 0, 0, time.UTC)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// desk is a docket with one incident.
type desk struct {
	err, offer error
	asked      []string // contacts that were offered a link
}

func (d *desk) Case(_, id string) (incident.Case, error) {
	if d.err != nil {
		return incident.Case{}, d.err
	}
	reason := "shadow mode was switched off: score 61 is below 70: P95 1847 ms is at or above the warning threshold of 1000 ms (600 samples, 0 of them still in flight)"
	wrong := map[string]any{"issue": "Slow: 95 of 100 requests take up to 1.9 s, limit 1 s"}
	return incident.Case{
		Summary: incident.Summary{ID: id, StartedAt: begin},
		Entries: []incident.Indexed{
			{Index: 6, Entry: incident.Entry{Metadata: map[string]any{"changes": []any{"3m earlier — a1b2c3d Fix checkout query", "9m earlier — deployment"}}}},
			{Index: 7, Entry: incident.Entry{Metadata: map[string]any{"proposal": map[string]any{"title": "Restart checkout"}}}},
			{Index: 8, Entry: incident.Entry{Kind: incident.KindEffectDue, Reason: reason, Metadata: wrong}},
			// Wanted by somebody, and not asked yet.
			{Index: 9, Entry: incident.Entry{Kind: incident.KindRequested, Metadata: map[string]any{"proposal": map[string]any{"title": "Roll back"}}}},
			{Index: 10, Entry: incident.Entry{Kind: incident.KindEffectDue, Reason: reason, Metadata: wrong}},
			{Index: 11, Entry: incident.Entry{Kind: incident.KindAsked, Metadata: map[string]any{
				"proposal": map[string]any{"title": "Roll back"}, "approval": map[string]any{"submitted_by": "human:ben"}}}},
			{Index: 12, Entry: incident.Entry{Kind: incident.KindEffectDue, Reason: reason}},
			{Index: 13, Entry: incident.Entry{Kind: incident.KindEffectDue, Metadata: map[string]any{"issue": "Nothing was run."}}},
		},
	}, nil
}

func (d *desk) Offer(_ context.Context, tenant, incident, contact string) (approval.Claims, error) {
	if d.offer != nil {
		return approval.Claims{}, d.offer
	}
	d.asked = append(d.asked, contact)
	return approval.Claims{
		ID: strings.Repeat("ab", 16), Contact: contact, Tenant: tenant, Incident: incident, ActionDigest: digestA, PolicyDigest: digestB,
		IssuedAt: begin, ExpiresAt: begin.Add(approval.LinkLife),
	}, nil
}

func writer(t *testing.T, d *desk) Writer {
	t.Helper()
	key, err := approval.OpenKey(filepath.Join(t.TempDir(), approval.KeyFile))
	if err != nil {
		t.Fatal(err)
	}
	p95, rate := 1847.0, 0.08
	return Writer{
		Docket: d, Key: key, Public: &url.URL{Scheme: "https", Host: "approve.example"},
		Head: func() *health.Ledger { return &health.Ledger{Size: 1234, Root: "abcd1234efgh"} },
		Health: func(string) (health.Document, bool) {
			return health.Document{Metrics: health.Metrics{OverallP95MS: &p95, ErrorRate: &rate}, HealthScore: health.Score{Score: 61}}, true
		},
	}
}

func opened() outbox.Parcel {
	return outbox.Parcel{ID: "eff-8", Contact: "ana", Channel: "pager", Letter: outbox.Letter{
		Index: 8, Tenant: "shop", Service: "checkout", Incident: "inc-1", Event: incident.EventIncident, At: begin,
		Text: "checkout has an incident (inc-1).",
	}}
}

func validated() outbox.Parcel {
	p := opened()
	p.ID, p.Link, p.Letter.Index, p.Letter.Event, p.Letter.Asks = "eff-10", true, 10, incident.EventValidated, true
	return p
}

func TestComposeTellsWhatIsWrong(t *testing.T) {
	m, err := writer(t, &desk{}).Compose(t.Context(), opened())
	if err != nil {
		t.Fatal(err)
	}
	want := `⚠ Incident
checkout
Slow: 95 of 100 requests take up to 1.9 s, limit 1 s
P95 1847 ms · errors 8 % · score 61 of 100
Changed just before: 3m earlier — a1b2c3d Fix checkout query and 1 more
Nothing will run without your approval.
ledger 1234 · abcd1234`
	if got := strings.TrimSpace(m.Short()); got != want || m.Link != "" || m.Check() != nil {
		t.Errorf("link %q, %v\n got %s\nwant %s", m.Link, m.Check(), got, want)
	}
}

func TestComposeBringsTheLinkOfTheContact(t *testing.T) {
	d := &desk{}
	w := writer(t, d)
	m, err := w.Compose(t.Context(), validated())
	if err != nil || m.Check() != nil {
		t.Fatal(err, m.Check())
	}
	if m.Event != notify.Validated || m.Issue != "Slow: 95 of 100 requests take up to 1.9 s, limit 1 s. Proposed: Restart checkout" || !m.Expires.Equal(begin.Add(5*time.Minute)) {
		t.Errorf("%+v", m)
	}
	_, token, _ := strings.Cut(m.Link, "?token=")
	c, err := w.Key.Verify(token, begin.Add(time.Minute))
	if err != nil || c.Contact != "ana" || c.Incident != "inc-1" || !strings.HasPrefix(m.Link, "https://approve.example/action/recover?") {
		t.Errorf("%q is of %+v, %v", m.Link, c, err)
	}
}

func TestComposeEscalates(t *testing.T) {
	d := &desk{}
	p := validated()
	p.Step = outbox.Secondary
	if m, err := writer(t, d).Compose(t.Context(), p); err != nil || m.Event != notify.Escalation || m.Link == "" {
		t.Errorf("%+v, %v", m, err)
	}
	p.Step = outbox.Voice
	if m, err := writer(t, d).Compose(t.Context(), p); err != nil || m.Event != notify.Escalation || m.Link != "" || len(d.asked) != 1 {
		t.Errorf("a voice: %+v, %v; %q were offered a link", m, err, d.asked)
	}
}

func TestComposeWithoutALink(t *testing.T) {
	failed := errors.New("the disk is full")
	for _, tc := range []struct {
		name  string
		offer error
		want  error
	}{
		{"nothing is asked any more", docket.ErrNoLink, nil},
		{"a room, and no contact", docket.ErrNotFound, nil},
		{"it cannot be recorded", failed, failed},
	} {
		m, err := writer(t, &desk{offer: tc.offer}).Compose(t.Context(), validated())
		if !errors.Is(err, tc.want) || m.Link != "" {
			t.Errorf("%s: %v, link %q", tc.name, err, m.Link)
		}
	}
	w := writer(t, &desk{})
	w.Key, w.Public = nil, nil
	if m, err := w.Compose(t.Context(), validated()); err != nil || m.Link != "" {
		t.Errorf("without a public listener: %v, %q", err, m.Link)
	}
}

func TestComposeMakesDoWithTheEntry(t *testing.T) {
	w := writer(t, &desk{err: errors.New("the ledger is closed")})
	if m, err := w.Compose(t.Context(), opened()); err != nil || m.Issue != "checkout has an incident (inc-1)." {
		t.Errorf("%+v, %v", m, err)
	}
	w.Health = func(string) (health.Document, bool) { return health.Document{Reason: health.ReasonNoData}, true }
	p := opened()
	p.Letter.Incident, p.Letter.Target, p.Letter.Event, p.Letter.Text = "", "db", incident.EventTargetDown, "checkout: db is DOWN."
	m, err := w.Compose(t.Context(), p)
	if err != nil || m.Issue != "db is DOWN." || m.Target != "db" || m.Score != nil || m.P95MS != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestComposeTellsHowItEnded(t *testing.T) {
	p := opened()
	p.Letter.Event, p.Letter.Text, p.Letter.Ends = incident.EventRecovered, "checkout has recovered.", true
	p.Letter.At, p.Letter.Index = begin.Add(5*time.Minute), 13
	m, err := writer(t, &desk{}).Compose(t.Context(), p)
	if err != nil || m.Issue != "Nothing was run." || !strings.Contains(m.Short(), "It lasted 5 min 0 s") {
		t.Errorf("%v\n%s", err, m.Short())
	}
}

// TestComposeSaysWhoAsks: of a question that a person has asked, and late: neither the
// score nor why it is asked now stand before what is wrong.
func TestComposeSaysWhoAsks(t *testing.T) {
	p := validated()
	p.Letter.Index = 12
	m, err := writer(t, &desk{}).Compose(t.Context(), p)
	if want := "P95 1847 ms is at or above the warning threshold of 1000 ms. ben asks for: Roll back"; err != nil || m.Issue != want {
		t.Errorf("%q, %v; want %q", m.Issue, err, want)
	}
}
