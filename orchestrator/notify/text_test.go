package notify_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

func TestShort(t *testing.T) {
	measured := "P95 1847 ms · errors 8 % · score 61 of 100\n" +
		"Likely cause: the connection pool is exhausted (3m earlier — a1b2c3d \"Fix checkout query\" (ana, +12/−3) and 1 more)\nConfidence: 87 %\n"
	figures := "Requests are slow since 03:00.\n" + measured
	decide := "Look and decide:\n" + notifytest.Link + "\nThe link works until 03:09:05 UTC.\n"
	const promise, mark = "Nothing will run without your approval.\n", "ledger 1234 · abcd1234"
	target := "checkout · https[:]//shop[.]example/health\n"
	for event, want := range map[notify.Event]string{
		notify.Incident:       "⚠ Incident\ncheckout\n" + figures + promise + mark,
		notify.Validated:      "⚠ Action recommended\ncheckout\n" + figures + decide + promise + mark,
		notify.Escalation:     "⏰ Nobody has decided yet\ncheckout\n" + figures + decide + promise + mark,
		notify.Recovered:      "✅ Recovered\ncheckout\nThe service is healthy again 45s after restart was run.\n" + measured + "It lasted 4 min 0 s\n" + mark,
		notify.Failed:         "❌ The action did not help\ncheckout\nNothing more runs by itself: a person must look. The service is still not healthy 5m after restart was run.\n" + measured + mark,
		notify.TargetDown:     "⚠ DOWN\n" + target + figures + mark,
		notify.TargetUp:       "✅ UP again\n" + target + figures + "It lasted 4 min 0 s\n" + mark,
		notify.TargetFlapping: "⚠ Keeps failing and recovering\n" + target + figures + mark,
		notify.Test:           "🔔 Test message\ncheckout\n" + figures + mark,
	} {
		m := notifytest.Message(event)
		if got := m.Short(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", event, got, want)
		}
		if got, want := m.Unlinked(), strings.Replace(want, "Look and decide:\n"+notifytest.Link+"\n", "", 1); got != want {
			t.Errorf("%s without its link: got\n%s\nwant\n%s", event, got, want)
		}
		if err := m.Check(); err != nil {
			t.Errorf("%s: %v", event, err)
		}
	}
}

// Whatever is in it, the message fits a phone's screen.
func TestShortIsShort(t *testing.T) {
	for _, event := range notify.Events {
		m := notifytest.Hostile(event)
		m.Link, m.Expires = notifytest.Link, notifytest.Now
		m.Ledger.Size = math.MaxUint64
		huge := math.MaxFloat64
		m.P95MS, m.ErrorRate, m.Score, m.Confidence = &huge, new(float64), &huge, &huge
		m.Title, m.Service, m.Issue, m.Cause = strings.Repeat("ä", 999), strings.Repeat("漢", 999), strings.Repeat("x", 999), strings.Repeat("y", 999)
		m.Target, m.Began = strings.Repeat("z", 999), notifytest.Now.Add(-999*time.Hour)
		m.Apart = strings.Repeat("v", 999)
		m.Changes = make([]string, 5000)
		m.Changes[0] = strings.Repeat("w", 999)
		if n := utf8.RuneCountInString(strings.Replace(m.Short(), m.Link, "", 1)); n > notify.MaxShort || n < 500 {
			t.Errorf("%s has %d characters", event, n)
		}
		if n := utf8.RuneCountInString(m.Subject()); n > 120 {
			t.Errorf("%s has a subject of %d characters", event, n)
		}
		if n := utf8.RuneCountInString(m.Spoken()); n > 500 {
			t.Errorf("%s is read out in %d characters", event, n)
		}
	}
}

func TestNothingKnown(t *testing.T) {
	m := notify.Message{ID: "a", Event: notify.Validated}
	if got, want := m.Short(), "⚠ Incident confirmed\n(no service name)\nNothing will run without your approval."; got != want {
		t.Errorf("%q", got)
	}
	if got := m.Subject(); got != "⚠ Incident confirmed: (no service name)" {
		t.Errorf("%q", got)
	}
	if got := m.Spoken(); !strings.Contains(got, "The service is not named.") {
		t.Errorf("%q", got)
	}
	for _, field := range append(m.DecisionFields(), m.NoticeFields()...) {
		if field == "" {
			t.Errorf("an empty field in %q", m.DecisionFields())
		}
	}
}

func TestHostileWords(t *testing.T) {
	for _, event := range notify.Events {
		m := notifytest.Hostile(event)
		for what, text := range map[string]string{
			"short": m.Short(), "unlinked": m.Unlinked(), "subject": m.Subject(), "mark": m.Mark(), "decision": strings.Join(m.DecisionFields(), "\n"), "notice": strings.Join(m.NoticeFields(), "\n"),
		} {
			if found := notifytest.Signs(text); found != nil {
				t.Errorf("%s: %q in %s %q", event, found, what, text)
			}
		}
		// Every line of a message is one that it has by itself.
		if n := strings.Count(m.Unlinked(), "\n"); n > 9 {
			t.Errorf("%s has %d lines: %q", event, n+1, m.Unlinked())
		}
		if m.Detail() != "" {
			t.Errorf("%s: the detail %q", event, m.Detail())
		}
	}
}

func TestFigures(t *testing.T) {
	number := func(v float64) *float64 { return &v }
	for _, tt := range []struct {
		p95, errors, score *float64
		want               string
	}{
		{nil, nil, nil, ""},
		{number(99.96), number(0.0004), number(0), "P95 100 ms · errors 0 % · score 0 of 100"},
		{number(12.34), number(0.125), number(99.95), "P95 12.3 ms · errors 12.5 % · score 100 of 100"},
		{number(-1), number(7), number(-5), "P95 0 ms · errors 100 % · score 0 of 100"},
		{number(math.NaN()), number(math.Inf(1)), number(50), "score 50 of 100"},
		{number(1e300), nil, nil, "P95 over 1000000000 ms"},
	} {
		m := notify.Message{P95MS: tt.p95, ErrorRate: tt.errors, Score: tt.score}
		if got := m.Figures(); got != tt.want {
			t.Errorf("%q instead of %q", got, tt.want)
		}
	}
}

func TestLasted(t *testing.T) {
	for _, tt := range []struct {
		took time.Duration
		want string
	}{
		{42*time.Second + 900*time.Millisecond, "42 s"}, {90 * time.Second, "1 min 30 s"}, {61 * time.Minute, "1 h 1 min"}, {50 * time.Hour, "2 d 2 h"}, {-time.Second, ""},
	} {
		m := notify.Message{Event: notify.Recovered, Service: "a", At: notifytest.Now, Began: notifytest.Now.Add(-tt.took)}
		got := strings.TrimPrefix(strings.Join(m.Body()[1:], "|"), "It lasted ")
		if got != tt.want {
			t.Errorf("%v is %q instead of %q", tt.took, got, tt.want)
		}
	}
}

func TestReason(t *testing.T) {
	for _, tt := range []struct {
		cause   string
		changes []string
		want    string
	}{
		{"", nil, ""}, {"a", nil, "a"}, {"", []string{"b"}, "changed just before: b"}, {"a", []string{"b"}, "a (b)"}, {"a", []string{"b", "c", "d"}, "a (b and 2 more)"},
		{"a", make([]string, 3), "a"},
	} {
		m := notify.Message{Cause: tt.cause, Changes: tt.changes}
		if got := m.Reason(); got != tt.want {
			t.Errorf("%q instead of %q", got, tt.want)
		}
	}
}

func TestUrgency(t *testing.T) {
	for event, want := range map[notify.Event]notify.Severity{
		notify.Incident: notify.Critical, notify.Recovered: notify.Info, notify.TargetFlapping: notify.Warning, notify.Test: notify.Info, notify.TargetDown: notify.Critical,
	} {
		if got := (notify.Message{Event: event}).Urgency(); got != want {
			t.Errorf("%s: %s", event, got)
		}
	}
	if got := (notify.Message{Event: notify.Incident, Severity: notify.Warning}).Urgency(); got != notify.Warning {
		t.Error(got)
	}
	if got := (notify.Message{Event: notify.Incident, Severity: "sudden"}).Urgency(); got != notify.Critical {
		t.Error(got)
	}
}

func TestTestMessage(t *testing.T) {
	m := notify.TestMessage("test-1", "local", "checkout", notifytest.Now, notify.Mark{Size: 7, Root: "abcdefghijk"})
	if err := m.Check(); err != nil || m.Decidable() || m.Promises() {
		t.Errorf("%v %+v", err, m)
	}
	want := "🔔 Test message\ncheckout\nThis is a test: nothing is wrong. Messages of incidents will come this way.\nledger 7 · abcdefgh"
	if got := m.Short(); got != want {
		t.Errorf("%q", got)
	}
}
