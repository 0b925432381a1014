package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// ApprovalDoubts are what is configured soundly and yet lets approvals mean less
// than they seem to, or never come about: each a sentence without its full stop.
func (c Config) ApprovalDoubts() []string {
	if c.Approval.Listen == "" {
		return nil
	}
	var doubts []string
	if u, err := url.Parse(c.Approval.PublicURL); err == nil && u.Scheme == "http" && !within(u.Hostname()) {
		doubts = append(doubts, "the public URL is http: whoever is on the way can read the links and decide with them; put TLS in front of the listener, or give it a certificate")
	}
	apart := len(separate(c.Contacts))
	for _, a := range c.Actions {
		switch {
		case a.Approvals > len(c.Contacts) && len(c.Contacts) > 0:
			doubts = append(doubts, fmt.Sprintf("%s needs %d approvals and there are %d contacts: it can never run", a.Name, a.Approvals, len(c.Contacts)))
		case a.Approvals > apart && apart > 0:
			doubts = append(doubts, fmt.Sprintf("%s needs %d approvals, and contacts share channels, so that one person may read the links of several: give each a channel of their own", a.Name, a.Approvals))
		}
	}
	return doubts
}

// within says whether a host is of this machine or a private network.
func within(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() || addr.IsPrivate()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// separate are the contacts in groups that share no channel: who reads one has
// the links of all in its group.
func separate(contacts []notify.Contact) [][]string {
	var groups [][]string // the channels of each
	for _, contact := range contacts {
		all := slices.Clone(contact.Channels)
		groups = slices.DeleteFunc(groups, func(group []string) bool {
			if !slices.ContainsFunc(group, func(id string) bool { return slices.Contains(contact.Channels, id) }) {
				return false
			}
			all = append(all, group...)
			return true
		})
		groups = append(groups, all)
	}
	return groups
}
