package config

import (
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

func TestApprovalDoubts(t *testing.T) {
	people := func(channels ...string) (list []notify.Contact) {
		for _, c := range channels {
			list = append(list, notify.Contact{ID: "c", Channels: strings.Fields(c)})
		}
		return list
	}
	for _, c := range []struct {
		name, public string
		approvals    int
		contacts     []notify.Contact
		want         string // part of the only doubt, empty for none
	}{
		{"one approval in a room", "https://approve.example", 1, people("room", "room"), ""},
		{"two of their own", "https://approve.example", 2, people("ana", "ben"), ""},
		{"two and a room of three", "https://approve.example", 2, people("room", "room", "cleo"), ""},
		{"two in a room", "https://approve.example", 2, people("room", "room"), "contacts share channels"},
		{"two rooms that one is in", "https://approve.example", 2, people("a", "b", "a b"), "contacts share channels"},
		{"more than there are", "https://approve.example", 3, people("ana", "ben"), "needs 3 approvals and there are 2 contacts: it can never run"},
		{"nobody, which is told otherwise", "https://approve.example", 2, nil, ""},
		{"in the clear", "http://approve.example", 1, people("ana"), "the public URL is http"},
		{"in the clear, abroad", "http://8.8.8.8:80", 1, people("ana"), "the public URL is http"},
		{"within a network", "http://10.0.0.1:8083", 1, people("ana"), ""},
		{"on this machine", "http://localhost:8083", 1, people("ana"), ""},
	} {
		config := Config{Actions: recovery.Catalogue{{Name: "restart", Approvals: c.approvals}}, Contacts: c.contacts}
		config.Approval.Listen, config.Approval.PublicURL = "127.0.0.1:8083", c.public
		got := config.ApprovalDoubts()
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q", c.name, got)
		}
		config.Approval.Listen = ""
		if got := config.ApprovalDoubts(); len(got) > 0 {
			t.Errorf("%s, without a listener: %q", c.name, got)
		}
	}
}
