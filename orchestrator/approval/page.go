package approval

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// What texts on the page have at most, in bytes of HTML. Together with the rest
// they keep every page below 20 KB; a test makes the longest.
const (
	limitName   = 160
	limitIssue  = 500
	limitChange = 220
	limitURL    = 500
	limitHeader = 120
	limitBody   = 4000
	limitDigest = 100
	maxChanges  = 4
	maxHeaders  = 8
	maxNamed    = 4
)

// page is one page being written.
type page struct {
	b   bytes.Buffer
	now time.Time
}

func (p *page) write(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
}

// element writes text, which is cleaned and escaped here.
func (p *page) element(name, text string, limit int) {
	if text != "" {
		tag, _, _ := strings.Cut(name, " ")
		p.write("<", name, ">", prose(text, limit), "</", tag, ">\n")
	}
}

func (p *page) fact(name, text string, limit int) {
	if text != "" {
		p.write("<div><dt>", name, "</dt><dd>", prose(text, limit), "</dd></div>\n")
	}
}

func (p *page) begin(title string) {
	p.write(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>`, prose(title, 2*limitName), "</title>\n<style>", style, "</style>\n</head>\n<body>\n<main>\n")
}

func (p *page) end() []byte {
	p.write("</main>\n</body>\n</html>\n")
	return p.b.Bytes()
}

// notice writes what there is to say first; urgent has a screen reader say it at
// once.
func (p *page) notice(n notice, urgent bool) {
	if len(n.text) == 0 {
		return
	}
	role := "note"
	if urgent {
		role = "status"
	}
	p.write(`<div class="notice `, n.tone, `" role="`, role, `">`)
	for _, text := range n.text {
		p.element("p", text, limitIssue)
	}
	p.write("</div>\n")
}

// noticePage is a page of nothing but a notice.
func noticePage(n notice) []byte {
	p := new(page)
	p.begin(n.title + " – Countersign")
	p.element("h1", n.title, limitName)
	p.notice(n, true)
	return p.end()
}

// resultPage says what a tap led to. again is the token, to look once more.
func resultPage(n notice, v View, token string) []byte {
	p := new(page)
	p.begin(n.title + named(v) + " – Countersign")
	p.element("h1", n.title, limitName)
	p.notice(n, true)
	p.write(`<dl class="facts">` + "\n")
	p.fact("Service", v.Service, limitName)
	p.fact("Incident", v.Incident, limitName)
	p.fact("Action", v.Action.title(), limitName)
	p.ledger(v)
	p.write("</dl>\n", `<p><a href="../recover?token=`, url.QueryEscape(token), `">Look at the request again</a></p>`, "\n")
	return p.end()
}

// requestPage shows all of a request, with the form when something can be
// decided.
func requestPage(v View, c Claims, token, code string, now time.Time) ([]byte, int) {
	p := &page{now: now}
	n := noticeOf(v.Standing, v, c.Contact, false, now)
	decidable := v.Standing.Kind == Open || v.Standing.Kind == Waiting
	approvable := v.Standing.Kind == Open && v.Standing.Reason == ""
	title := n.title
	if title == "" {
		title = "Approve " + quoted(v.Action) + "?"
	}
	p.begin(title + named(v) + " – Countersign")
	p.element("h1", title, 2*limitName)
	p.lead(v)
	p.notice(n, false)
	p.element("p", capital(v.Issue), limitIssue)
	if decidable {
		p.write(`<p><a class="to" href="#decide">To the decision</a></p>` + "\n")
		p.element(`p class="faint"`, p.deadline(v, c), limitName)
	}
	p.figures(v)
	p.because(v)
	v.Diagnosis = fitted(v.Diagnosis)
	p.diagnosis(v)
	p.changes(v, decidable)
	p.action(v.Action, decidable)
	if decidable {
		p.decision(v, c, token, code, approvable)
	}
	p.record(v)
	return p.end(), n.status
}

func named(v View) string {
	if v.Service == "" {
		return ""
	}
	return ": " + v.Service
}

// statusClass is the colour of a status, which says nothing that the word does not.
var statusClass = map[string]string{"ok": "ok", "warning": "ill", "critical": "bad"}

// lead is the line below the title: what is how, and since when.
func (p *page) lead(v View) {
	if v.Service == "" && v.StartedAt.IsZero() {
		return
	}
	p.write("<p><b>", prose(v.Service, limitName), "</b>")
	if v.Status != "" {
		p.write(` is <b class="`, statusClass[v.Status], `">`, prose(v.Status, limitName), "</b>")
	}
	if !v.StartedAt.IsZero() {
		p.write(` <span class="faint">since `, clock(v.StartedAt, p.now), " (", duration(p.now.Sub(v.StartedAt)), ")</span>")
	}
	p.write("</p>\n")
}

// deadline says how long there is to decide.
func (p *page) deadline(v View, c Claims) string {
	expires := v.Expires
	if expires.IsZero() {
		expires = c.ExpiresAt
	}
	return fmt.Sprintf("This link expires at %s, %s after this page was made.", clock(expires, p.now), duration(expires.Sub(p.now)))
}

func (p *page) figures(v View) {
	type figure struct{ name, value string }
	var list []figure
	if v.Score != nil {
		list = append(list, figure{"Score", fmt.Sprintf("%.0f / 100", min(max(*v.Score, 0), 100))})
	}
	if v.P95MS != nil {
		list = append(list, figure{"P95", milliseconds(*v.P95MS)})
	}
	if v.ErrorRate != nil {
		list = append(list, figure{"Errors", percent(*v.ErrorRate)})
	}
	if len(list) > 0 {
		p.write(`<dl class="figures">`)
		for _, f := range list {
			p.write("<div><dt>", f.name, "</dt><dd>", f.value, "</dd></div>")
		}
		p.write("</dl>\n")
	}
	if svg := v.Chart.svg(); svg != "" {
		points := v.Chart.Points
		from, to := points[0].At, points[len(points)-1].At
		p.write("<figure>", svg, "<figcaption>", v.Chart.of(), ", ", clock(from, p.now), " to ", clock(to, p.now), "</figcaption></figure>\n")
	}
}

// because says who asks, and why.
func (p *page) because(v View) {
	if v.Because == "" && v.SubmittedBy == "" {
		return
	}
	p.write("<h2>Why this is asked</h2>\n")
	by := ""
	if v.SubmittedBy != "" {
		by = "Asked for by " + v.name(bare(v.SubmittedBy)) + "."
	}
	p.element("p", by, 3*limitName)
	p.element("p", sentence(strings.TrimRight(v.Because, ". ")), limitIssue)
}

// changes are what changed before. Who decides is told as well when there is none.
func (p *page) changes(v View, decidable bool) {
	switch {
	case len(v.Changes) > 0:
	case decidable:
		p.write("<h2>What changed before</h2>\n<p>Nothing that is known of.</p>\n")
		return
	default:
		return
	}
	p.write("<h2>What changed before</h2>\n<ul>\n")
	for _, line := range v.Changes[:min(len(v.Changes), maxChanges)] {
		p.element("li", line, limitChange)
	}
	if left := len(v.Changes) - maxChanges; left > 0 {
		p.element("li", fmt.Sprintf("and %d before that", left), limitChange)
	}
	p.write("</ul>\n")
}
