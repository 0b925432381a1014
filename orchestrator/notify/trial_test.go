package notify_test

import (
	"context"
	"errors"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

// scripted answers with what it was made with, and keeps the id it was given.
type scripted struct {
	name    string
	receipt notify.Receipt
	err     error
	id      string
}

func (s *scripted) Name() string { return s.name }
func (s *scripted) Kind() string { return "script" }
func (s *scripted) Send(_ context.Context, m notify.Message) (notify.Receipt, error) {
	s.id = m.ID
	return s.receipt, s.err
}

func TestTry(t *testing.T) {
	good := &scripted{name: "good", receipt: notify.Receipt{Reference: "47", Note: "queued"}}
	plain := &scripted{name: "plain"}
	bad := &scripted{name: "bad", err: &notify.Error{Text: "refused with status 401", Mend: "check the token"}}
	odd := &scripted{name: "odd", err: errors.New("something")}
	held := &scripted{name: "held", err: notify.Unreachable(egress.ErrShadow, false, 0)}
	m := notify.TestMessage("test-1", "local", "checkout", notifytest.Now, notify.Mark{})
	trials := notify.Try(t.Context(), []notify.Channel{good, plain, bad, odd, held}, []notify.Message{m, m, m, m, m})
	for i, want := range []string{
		"good (script): sent as 47 (queued)", "plain (script): sent", "bad (script): FAILED: refused with status 401; check the token", "odd (script): FAILED: something",
		"held (script): not sent: shadow mode is on",
	} {
		if got := trials[i].String(); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	if !trials[4].Held || trials[2].Held {
		t.Errorf("%+v", trials)
	}
	if good.id != "test-1-good" || bad.id != "test-1-bad" {
		t.Errorf("%q %q", good.id, bad.id)
	}
}
