package notify_test

import (
	"context"
	"errors"
	"testing"

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
	trials := notify.Try(t.Context(), []notify.Channel{good, plain, bad, odd}, notify.TestMessage("test-1", "local", "checkout", notifytest.Now, notify.Mark{}))
	for i, want := range []string{
		"good (script): sent as 47 (queued)", "plain (script): sent", "bad (script): FAILED: refused with status 401; check the token", "odd (script): FAILED: something",
	} {
		if got := trials[i].String(); got != want {
			t.Errorf("%q instead of %q", got, want)
		}
	}
	if good.id != "test-1-good" || bad.id != "test-1-bad" {
		t.Errorf("%q %q", good.id, bad.id)
	}
}
