package incident

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// About is what every entry says of whose it is and when. Its texts are cleaned
// and cut to fit.
type About struct {
	Tenant, Service, Instance   string
	PolicyVersion, PolicyDigest string
	// Time must not be before that of the ledger's last entry.
	Time time.Time
}

// entry begins an entry.
func (a About) entry(kind, actor string) Entry {
	return Entry{
		V: entryVersion, Kind: kind, Time: a.Time.UTC().Round(0), Actor: actor,
		TenantID: clean(a.Tenant, maxName), Service: clean(a.Service, maxName), Instance: clean(a.Instance, maxName),
		PolicyVersion: clean(a.PolicyVersion, maxName), PolicyDigest: a.PolicyDigest,
		Metadata: map[string]any{},
	}
}

// human is the actor that a person is.
func human(who string) (string, error) {
	who = clean(who, maxName)
	if who == "" {
		return "", errors.New("nobody is named: say who does it")
	}
	return humanPrefix + who, nil
}

// ShadowSwitch drafts the entry of a person who switches shadow mode on, or
// off, which is going live; was is what it is now. Without a name it is an error.
func ShadowSwitch(a About, was, on bool, who, reason string) (Draft, error) {
	actor, err := human(who)
	if err != nil {
		return Draft{}, err
	}
	kind := KindShadowOff
	if on {
		kind = KindShadowOn
	}
	e := a.entry(kind, actor)
	e.Decision, e.Reason = onOff(on), clean(reason, maxReason)
	e.Metadata["previous"] = onOff(was)
	return Draft{Entry: e}, nil
}

// Mark drafts the entry of a person's verdict, [FalseAlarm] or [Confirmed], on an
// incident, with the cause that they have found, which may be empty. The error says
// which argument is wrong.
func Mark(a About, incident, verdict, cause, who, note string) (Draft, error) {
	actor, err := human(who)
	if err != nil {
		return Draft{}, err
	}
	if verdict != FalseAlarm && verdict != Confirmed {
		return Draft{}, fmt.Errorf("the verdict is %q: it must be %q or %q", clean(verdict, maxName), FalseAlarm, Confirmed)
	}
	if verdict == FalseAlarm && cause != "" {
		return Draft{}, errors.New("a false alarm has no cause: leave the cause out, or confirm the incident")
	}
	if _, err := parseID(incident); err != nil {
		return Draft{}, err
	}
	e := a.entry(KindMarked, actor)
	e.IncidentID, e.Decision, e.Reason = incident, verdict, clean(note, maxReason)
	e.Metadata["verdict"], e.Metadata["note"] = verdict, clean(note, maxReason)
	if cause != "" {
		e.Metadata["cause"] = clean(cause, maxName)
	}
	return Draft{Entry: e}, nil
}

// Denied drafts the entry of requests that were refused: what was asked for, the
// HTTP status, how many since the last such entry, and the tenant that was
// claimed.
func Denied(a About, what string, status, count int, claimed string) Draft {
	e := a.entry(KindAccessDenied, ActorSystem)
	e.Decision, e.Reason = "denied", fmt.Sprintf("%s was refused with status %d", clean(what, maxPhrase), status)
	e.Metadata["what"], e.Metadata["status"], e.Metadata["count"] = clean(what, maxPhrase), status, count
	e.Metadata["tenant"] = clean(claimed, maxName)
	return Draft{Entry: e}
}

// PolicyLoaded drafts the entry that a policy is in force, with the policy as
// evidence; the previous version and digest are empty when there was none. The
// policy that the entry names is p, whatever a says.
func PolicyLoaded(a About, p *policy.Policy, previousVersion, previousDigest string) Draft {
	a.PolicyVersion, a.PolicyDigest = p.Version, p.Digest()
	e := a.entry(KindPolicyLoaded, ActorSystem)
	unversioned := previousDigest != "" && previousDigest != e.PolicyDigest && clean(previousVersion, maxName) == e.PolicyVersion
	var reason strings.Builder
	fmt.Fprintf(&reason, "policy %s is in force", e.PolicyVersion)
	if unversioned {
		reason.WriteString("; it differs from the one before, which has the same version")
	}
	e.Decision, e.Reason = "loaded", reason.String()
	e.Metadata["previous_digest"], e.Metadata["previous_version"] = previousDigest, clean(previousVersion, maxName)
	e.Metadata["unversioned_change"] = unversioned
	e.Metadata["max_open_seconds"] = p.Incident.MaxOpenSeconds
	var x exhibits
	x.add(PolicyFile, p.Canonical(), maxPolicy)
	return x.attach(e)
}
