package notifytest

import (
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

// Link is where Message leads to.
const Link = "https://approve.example/action/recover?token=eyJhbGciOiJFZERTQSJ9.e30.c2ln"

// Base is the link up to the token.
const Base = "https://approve.example/action/recover?token="

// Message is a message of an event, with everything that one can have.
func Message(event notify.Event) notify.Message {
	number := func(v float64) *float64 { return &v }
	m := notify.Message{
		ID: "eff-1234-" + string(event), Event: event, Tenant: "local", Service: "checkout", IncidentID: "inc-abc123-1685000000",
		At: Now, Began: Now.Add(-4 * time.Minute), Issue: "Requests are slow since 03:00.",
		P95MS: number(1847.3), ErrorRate: number(0.08), Score: number(61),
		Cause: "the connection pool is exhausted", Changes: []string{`3m earlier — a1b2c3d "Fix checkout query" (ana, +12/−3)`, "9m earlier — flag new-checkout"},
		Confidence: number(0.87), Ledger: notify.Mark{Size: 1234, Root: "abcd1234efgh5678"}, DetailURL: "https://console.example/incidents/inc-abc123",
	}
	switch event {
	case notify.Recovered:
		m.Issue = "The service is healthy again 45s after restart was run."
	case notify.Failed:
		m.Issue = "Nothing more runs by itself: a person must look. The service is still not healthy 5m after restart was run."
	case notify.Validated, notify.Escalation:
		m.Link, m.Expires = Link, Now.Add(5*time.Minute)
	case notify.TargetDown, notify.TargetUp, notify.TargetFlapping:
		m.Target, m.IncidentID = "https://shop.example/health", ""
	}
	return m
}

// Attack is text that tries to be obeyed by headers, terminals, markup and
// whatever makes links of text.
const Attack = "x\r\nBcc: evil@evil.example\r\n\r\n<b>&amp;</b> <!channel> <https://evil.example|OK> *bold* _it_ `code` " +
	"[click](https://evil.example) https://evil.example/approve www.evil.example evil.example/x 10.1.2.3/x tg://resolve?domain=evil " +
	"@everyone mail@evil.example evil。example \x1b[31m\x00\u202egnp.exe\u2066\u200b </Say><Hangup/>\u2028{{1}} %0d%0a"

// Hostile is a message of an event with an attack in every text.
func Hostile(event notify.Event) notify.Message {
	m := Message(event)
	long := strings.Repeat(Attack+" ", 20)
	m.Tenant, m.Service, m.Target, m.IncidentID = Attack, Attack, Attack, Attack
	m.Title, m.Issue, m.Cause, m.Changes = Attack, long, long, []string{long, long, long}
	m.Ledger.Root, m.DetailURL = Attack, "javascript:alert(1)//"+Attack
	return m
}

// Signs are what must not be found in what a channel shows of Hostile: a
// control character, or what could be tapped.
func Signs(shown string) []string {
	var found []string
	for _, sign := range []string{"://evil", "www.evil", "evil.example", "10.1.2.3", "@e", "tg://", "\x1b", "\x00", "\r", "\u202e", "\u2066", "\u200b", "\u2028", "javascript"} {
		if strings.Contains(shown, sign) {
			found = append(found, sign)
		}
	}
	return found
}
