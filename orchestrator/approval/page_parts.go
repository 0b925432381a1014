package approval

import (
	"fmt"
	"strings"
)

// action shows what would be sent, as it would be; of its body as much as limit bytes of
// HTML have room for.
func (p *page) action(a Action, decidable bool) {
	if a.title() == "" && a.URL == "" {
		return
	}
	heading := "What was asked for"
	if decidable {
		heading = "Exactly what will run"
	}
	p.write("<h2>", heading, "</h2>\n")
	p.element("p", a.title(), limitName)
	switch a.Risk {
	case High:
		p.write(`<p class="risk">Risk: high</p>` + "\n")
	case Low, Medium:
		p.write("<p>Risk: ", string(a.Risk), "</p>\n")
	}
	if a.URL == "" {
		return
	}
	method, _ := verbatim(a.Method, 40)
	target, whole := verbatim(a.URL, limitURL)
	p.write("<pre><b>", method, " ", target, more(whole), "</b>")
	for _, h := range a.Headers[:min(len(a.Headers), maxHeaders)] {
		name, wholeName := verbatim(h.Name, limitHeader/2)
		value, wholeValue := verbatim(h.Value, limitHeader)
		p.write("\n", name, more(wholeName), ": ", value, more(wholeValue))
	}
	if left := len(a.Headers) - maxHeaders; left > 0 {
		fmt.Fprintf(&p.b, "\n… and %d header fields more", left)
	}
	whole = true
	if a.Body != "" {
		var body string
		body, whole = verbatim(a.Body, limitBody)
		p.write("\n\n", body)
	}
	p.write("</pre>\n")
	if !whole {
		p.element(`p class="faint"`, fmt.Sprintf("This is the beginning of a body of %s bytes. The digest below covers all of it.", thousands(float64(len(a.Body)))), limitIssue)
	}
}

func more(whole bool) string {
	if whole {
		return ""
	}
	return "…"
}

// decision is the form. It is one for both answers: there is no field in it that
// sends it when Enter is pressed.
func (p *page) decision(v View, c Claims, token, code string, approvable bool) {
	p.write(`<h2 id="decide" tabindex="-1">Your decision</h2>` + "\n")
	p.element("p", fmt.Sprintf("You decide as %s. Nothing will run without approval.", v.name(c.Contact)), 3*limitName)
	p.element("p", p.deadline(v, c), limitName)
	if left := v.Standing.Quorum - v.Standing.Approvals; v.Standing.Quorum > 1 && approvable {
		p.element("p", fmt.Sprintf("%d of %d approvals are given. %s", v.Standing.Approvals, v.Standing.Quorum, lastOr(left)), limitName)
	}
	p.write(`<form method="post" action="recover/confirm" autocomplete="off">`, "\n",
		`<input type="hidden" name="token" value="`, prose(token, maxToken), `">`,
		`<input type="hidden" name="code" value="`, prose(code, limitDigest), `">`, "\n")
	if approvable {
		p.trust(v)
		p.write("<button>Approve: run ", prose(quoted(v.Action), limitName), "</button>\n")
	}
	p.write(`<label for="reason">Reason for rejecting (optional)</label>`, "\n",
		fmt.Sprintf(`<textarea id="reason" name="reason" maxlength="%d" rows="2"></textarea>`, maxWhy), "\n",
		`<button class="no" formaction="recover/reject">Reject: nothing runs</button>`, "\n</form>\n")
}

// lastOr says what one approval more leads to.
func lastOr(left int) string {
	if left <= 1 {
		return "Yours is the last: the action runs at once."
	}
	return "After yours, somebody else has to approve as well."
}

// record is what is written down about the request.
func (p *page) record(v View) {
	p.write("<h2>On record</h2>\n", `<dl class="facts">`, "\n")
	p.fact("Incident", v.Incident+stage(v.Stage), limitName)
	p.fact("Tenant", v.Tenant, limitName)
	p.fact("Asked for by", p.asked(v), 2*limitName)
	p.fact("Approved by", approvers(v), 4*limitName)
	p.fact("Action digest", v.Action.Digest, limitDigest)
	p.fact("Policy", v.Policy, limitName)
	p.ledger(v)
	p.write("</dl>\n")
}

func stage(s string) string {
	if s == "" {
		return ""
	}
	return ", " + s
}

func (p *page) asked(v View) string {
	who := "the policy"
	if v.SubmittedBy != "" {
		who = v.name(bare(v.SubmittedBy))
	}
	if v.AskedAt.IsZero() {
		return who
	}
	return who + ", at " + clock(v.AskedAt, p.now)
}

func approvers(v View) string {
	if len(v.Approvals) == 0 {
		return ""
	}
	var names []string
	for _, a := range v.Approvals[:min(len(v.Approvals), maxNamed)] {
		names = append(names, v.name(a.Contact))
	}
	if left := len(v.Approvals) - maxNamed; left > 0 {
		names = append(names, fmt.Sprintf("%d more", left))
	}
	return strings.Join(names, ", ")
}

// ledger is the mark that a screenshot of the page bears witness to.
func (p *page) ledger(v View) {
	if v.LedgerRoot != "" {
		p.fact("Ledger", fmt.Sprintf("%s entries", thousands(float64(v.LedgerSize))), limitName)
		p.fact("Its root", v.LedgerRoot, limitDigest)
	}
}
