package approval

import "time"

// Risk is how much harm an action can do.
type Risk string

// The risks.
const (
	Low    Risk = "low"
	Medium Risk = "medium"
	High   Risk = "high"
)

func (r Risk) known() bool { return r == Low || r == Medium || r == High }

// StepKind is what a step does to a request.
type StepKind string

// The steps. Each is an entry of the ledger, or a part of one: the step is what
// the request needs to know of it.
const (
	StepAsked      StepKind = "asked"      // the question, with the incident's validation; once more when it changed
	StepOffered    StepKind = "offered"    // a link for a contact; the entry comes before the message
	StepApproved   StepKind = "approved"   // one approval of several
	StepAuthorized StepKind = "authorized" // the last approval: AUTHORIZED
	StepRejected   StepKind = "rejected"   // REJECTED
	StepRefused    StepKind = "refused"    // a tap that counts for nothing, and why
	StepExpired    StepKind = "expired"    // nobody decided in time: EXPIRED
	StepEnded      StepKind = "ended"      // the incident ended otherwise, as by RECOVERED
)

// Step is one step of a request. Which fields a kind has is said beside them; the
// others are empty.
type Step struct {
	Kind     StepKind  `json:"kind"`
	At       time.Time `json:"at"`
	Tenant   string    `json:"tenant_id"`
	Incident string    `json:"incident_id"`

	// LinkID and Contact are of the link that was offered, approved by, rejected by
	// or refused.
	LinkID  string `json:"link_id,omitempty"`
	Contact string `json:"contact,omitempty"`
	// IssuedAt and ExpiresAt are of offered: whole seconds.
	IssuedAt  time.Time `json:"issued_at,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`

	// ActionDigest and PolicyDigest are of asked, offered and authorized.
	ActionDigest string `json:"action_digest,omitempty"`
	PolicyDigest string `json:"policy_digest,omitempty"`

	// SubmittedBy, Risk and Quorum are of asked. SubmittedBy is the actor who asked
	// for the action, "human:" and a contact, empty when the policy proposed it. Quorum is how many
	// must approve, 1 to 16.
	SubmittedBy string `json:"submitted_by,omitempty"`
	Risk        Risk   `json:"risk,omitempty"`
	Quorum      int    `json:"quorum,omitempty"`

	// Approvers are of authorized: all of them, in the order in which they approved.
	Approvers []string `json:"approvers,omitempty"`
	// Text is what a person gave as the reason, of rejected; cleaned, at most 500
	// characters.
	Text string `json:"text,omitempty"`
	// Trusted is whose diagnosis the person trusts, of approved and authorized; it may be
	// empty.
	Trusted string `json:"trusted,omitempty"`
	// Reason is of refused.
	Reason Reason `json:"reason,omitempty"`
	// Stage is of ended: the stage that the incident ended in.
	Stage string `json:"stage,omitempty"`
}

// Claims are what the token of an offered link says: minted from these, it is the
// token that was sent.
func (s Step) Claims() Claims {
	return Claims{
		ID: s.LinkID, Contact: s.Contact, Tenant: s.Tenant, Incident: s.Incident,
		ActionDigest: s.ActionDigest, PolicyDigest: s.PolicyDigest, IssuedAt: s.IssuedAt, ExpiresAt: s.ExpiresAt,
	}
}
