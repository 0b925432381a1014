package notify

import (
	"fmt"
	"strings"
)

// unknown stands in a template's field that has nothing to say: an empty one is
// refused.
const unknown = "not known"

// DecisionFields are the fields of the template "decision", in their order:
// heading, service, issue, figures, cause, confidence, ledger mark. The link is
// a button's, and no field. Each is one line that is not empty.
func (m Message) DecisionFields() []string {
	certainty := unknown
	if m.Cause != "" {
		certainty = or(m.Certainty(), unknown)
	}
	return []string{
		m.Heading(), m.Place(), or(m.Problem(), unknown), or(m.Figures(), unknown), or(m.Reason(), unknown),
		certainty, or(m.Mark(), "no ledger"),
	}
}

// NoticeFields are the fields of the template "notice", for messages that ask
// for nothing: heading, service, issue, figures, cause, ledger mark.
func (m Message) NoticeFields() []string {
	return []string{
		m.Heading(), m.Place(), or(m.Problem(), unknown), or(m.Figures(), unknown), or(m.Reason(), unknown),
		or(m.Mark(), "no ledger"),
	}
}

// CheckLinkBase says whether the base that is registered with a template is one
// of links that begin like this.
func CheckLinkBase(c Config, begins string) error {
	base := c.Get("link_base")
	if strings.HasPrefix(begins, base) {
		return nil
	}
	return fmt.Errorf("has the link_base %s, and its links begin with %s: set link_base to that, and register the template's button with it", base, begins)
}

// LinkSuffix is what a button of a template is filled with: the link without
// the base that is registered with the template. The error is an *Error.
func LinkSuffix(link, base string) (string, error) {
	suffix, found := strings.CutPrefix(link, base)
	if !found || suffix == "" {
		return "", &Error{
			Text: "the link does not begin with link_base",
			Mend: "set link_base to the address in the template's button, and public_url to the same host",
		}
	}
	return suffix, nil
}
