package approval

// Reason says why a link or a tap is refused. It goes into entries, and the page
// has a sentence for each.
type Reason string

// Of tokens that nothing can be believed of.
const (
	Malformed Reason = "malformed" // no token at all
	Forged    Reason = "forged"    // not signed by this key, or not for this purpose
	Altered   Reason = "altered"   // names this key, and its signature does not fit
)

// Of tokens that are genuine.
const (
	TooEarly      Reason = "not_yet_valid" // issued later than now: the clock was put back
	TooLate       Reason = "expired"
	OtherTenant   Reason = "other_tenant"
	OtherIncident Reason = "other_incident"
	OtherAction   Reason = "other_action" // the action has changed since the link was made
	OtherPolicy   Reason = "other_policy" // the policy has
	UnknownLink   Reason = "unknown_link" // the ledger has no such link, or it was another's
	UsedUp        Reason = "used"         // a decision was made already
	SamePerson    Reason = "same_person"  // has approved already; another must
	Requester     Reason = "requester"    // asked for it, and would be the only one to approve
	InShadow      Reason = "shadow_mode"
	Withdrawn     Reason = "withdrawn" // shadow mode was on meanwhile, and nobody has been asked anew yet
	HasRecovered  Reason = "recovered" // there is nothing to mend any more
)

// Of requests that came from elsewhere than the page.
const (
	CrossSite Reason = "cross_site"
	NoForm    Reason = "form" // without the code that the page's form has
)

// Error is a token that cannot be used.
type Error struct{ Reason Reason }

func (e *Error) Error() string { return "the approval link is refused: " + sentences[e.Reason] }

// sentences say it to a person.
var sentences = map[Reason]string{
	Malformed:     "this is not a whole link: it may have been cut short on its way",
	Forged:        "this link was not made by this installation",
	Altered:       "this link was changed after it was made",
	TooEarly:      "this link is from the future: the clock of the sidecar's machine was put back",
	TooLate:       "this link has expired",
	OtherTenant:   "this link is for another tenant",
	OtherIncident: "this link is for another incident",
	OtherAction:   "what would run has changed since this link was made, so that it no longer asks about the same thing",
	OtherPolicy:   "the policy has changed since this link was made, so that the request must be made again",
	UnknownLink:   "the ledger has no record of this link",
	UsedUp:        "a decision was made already",
	SamePerson:    "you have approved this already, and one person counts once",
	Requester:     "you asked for this yourself, and an action of high risk needs the approval of somebody else",
	InShadow:      "shadow mode is on, so that nothing may be run",
	Withdrawn:     "shadow mode was on in the meantime, by which what was asked was withdrawn",
	HasRecovered:  "the service has recovered in the meantime",
	CrossSite:     "the decision was sent from another site than this one",
	NoForm:        "the decision was not sent from the page of this link",
}
