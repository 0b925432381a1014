package whatsapp

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/countersign-dev/countersign/orchestrator/notify"
)

type response struct {
	Messages []struct {
		ID     string `json:"id"`
		Status string `json:"message_status"`
	} `json:"messages"`
	Error struct {
		Message string `json:"message"`
		Code    int    `json:"code"`
		Data    struct {
			Details string `json:"details"`
		} `json:"error_data"`
	} `json:"error"`
}

func read(a notify.Answer) (notify.Receipt, error) {
	var r response
	err := json.Unmarshal(a.Body, &r)
	if a.OK() {
		if err != nil || len(r.Messages) == 0 || r.Messages[0].ID == "" {
			return notify.Receipt{}, a.Unclear("not as the Cloud API does", "check api_url and api_version")
		}
		return notify.Receipt{Reference: a.Reference(r.Messages[0].ID, 200), Note: a.Say(r.Messages[0].Status)}, nil
	}
	said := r.Error.Message
	if r.Error.Data.Details != "" {
		said += ": " + r.Error.Data.Details
	}
	e := a.Refused(said, mend(a.Status, r.Error.Code))
	if r.Error.Code != 0 {
		e.Text = fmt.Sprintf("refused with status %d, code %d: %s", a.Status, r.Error.Code, a.Say(said))
		// The code says more than the status, which differs between versions.
		known := mend(a.Status, r.Error.Code) != ""
		e.Retry = passing(r.Error.Code) || a.Status == http.StatusTooManyRequests || a.Status >= 500 && !known
		if e.Retry && !known {
			e.Mend = "it is sent again later"
		}
	}
	return notify.Receipt{}, e
}

// passing says whether an error of a code goes away by itself
// (https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes).
func passing(code int) bool {
	switch code {
	case 1, 2, 4, 17, 341, 80007, 130429, 131000, 131016, 131048, 131056, 131057, 133004, 133015:
		return true
	}
	return false
}

// mend says what to do about an error of a code; "" when there is nothing but
// to wait, or nothing is known.
func mend(status, code int) string {
	switch {
	case code == 0 && status == http.StatusUnauthorized, code == 190:
		return "the access token is wrong or has expired: make a permanent one for a system user"
	case code == 3, code == 10, code == 131005, code >= 200 && code <= 299:
		return "give the access token's system user whatsapp_business_messaging, and the WhatsApp account"
	case code == 33, code == 100, code == 131045, code == 133010:
		return "check phone_number_id, and that the number is registered with the Cloud API"
	case code == 131021, code == 131026, code == 131030:
		return "check to: the number must have WhatsApp and, with a test number, be on its list of recipients"
	case code == 130497:
		return "the account must not write to numbers of this country: use another channel"
	case code == 131049, code == 131050, code == 130472:
		return "have the template approved as a utility template, and not as marketing, which people and Meta can hold back"
	case code == 131031, code == 368:
		return "the account is restricted: see the WhatsApp Manager"
	case code == 131042:
		return "the account lacks a way to pay: see the WhatsApp Manager"
	case code == 132001:
		return "register the templates of docs/templates, wait for their approval, and check template names and language"
	case code == 131047:
		return "template_decision and template_notice must be approved templates: register those of docs/templates"
	case code == 132000, code == 132005, code == 132012, code == 132018, code == 131008, code == 131009:
		return "the template is not the one in docs/templates: register that one"
	case code == 132007, code == 132015, code == 132016:
		return "the template was rejected, paused or disabled: see the WhatsApp Manager"
	}
	return ""
}
