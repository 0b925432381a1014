package approval

import (
	"fmt"
	"slices"
	"strings"
)

const (
	maxTheories = 2
	limitTheory = 380
	limitAside  = 200
	// limitDiagnosis is how much of a page all of it may take, and leastTheory what is
	// left of a text where that is too much, both in bytes.
	limitDiagnosis = 1850
	leastTheory    = 120
	// ownTheory is how long the name of a theory may be in a form.
	ownTheory = 60
)

// diagnosis shows what may be the cause. It stands after what was measured, and says
// what it is worth.
func (p *page) diagnosis(v View) {
	if v.Diagnosis == nil || len(v.Diagnosis.Theories) == 0 {
		return
	}
	theories := v.Diagnosis.Theories[:min(len(v.Diagnosis.Theories), maxTheories)]
	p.write("<h2>What may be the cause</h2>\n")
	if len(theories) > 1 {
		p.element("p", "Two diagnoses differ. Neither decides anything.", limitIssue)
	} else {
		p.element("p", "This is a diagnosis. It decides nothing.", limitIssue)
	}
	for _, t := range theories {
		p.element("h3", fmt.Sprintf("%s (%s, confidence %s)", causeName(t.Cause), t.By, percent(t.Confidence)), limitName)
		p.element("p", t.Text, limitTheory)
		if t.Check != "" {
			p.element("p", "Check first: "+t.Check, limitAside)
		}
		if t.Rests != "" {
			p.element(`p class="faint"`, "It rests on "+t.Rests, limitAside)
		}
		if t.Action != "" {
			p.element("p", "It suggests "+t.Action+".", limitName)
		}
	}
	if v.Diagnosis.TellApart != "" {
		p.element("p", "To tell them apart: "+v.Diagnosis.TellApart, limitAside)
	}
	if v.Diagnosis.Earlier != "" {
		p.element("p", "Seen before: "+v.Diagnosis.Earlier, limitAside)
	}
}

// causeName is a cause as people say it.
func causeName(s string) string { return capital(strings.ReplaceAll(s, "_", " ")) }

// trust asks who decides which of two theories they trust. It may be left open.
func (p *page) trust(v View) {
	if v.Diagnosis == nil || len(v.Diagnosis.Theories) < maxTheories {
		return
	}
	p.write("<fieldset><legend>Which diagnosis do you trust? (optional)</legend>\n")
	for i, t := range v.Diagnosis.Theories[:maxTheories] {
		id := fmt.Sprintf("trust%d", i+1)
		p.write(`<p><input type="radio" id="`, id, `" name="trusted" value="`, prose(t.By, ownTheory), `"> <label for="`, id, `">`,
			prose(causeName(t.Cause)+", by "+t.By, 2*ownTheory), "</label></p>\n")
	}
	p.write("</fieldset>\n")
}

// fitted is a diagnosis that leaves the rest of the page its room: of a longer one what
// matters least is left out. What would be run is shown the same whatever is thought.
func fitted(d *Diagnosis) *Diagnosis {
	if d == nil {
		return nil
	}
	shorter := *d
	shorter.Theories = slices.Clone(d.Theories[:min(len(d.Theories), maxTheories)])
	each := func(f func(*Theory)) {
		for i := range shorter.Theories {
			f(&shorter.Theories[i])
		}
	}
	for _, step := range []func(){
		func() {},
		func() { shorter.Earlier = "" },
		func() { each(func(t *Theory) { t.Rests = "" }) },
		func() { each(func(t *Theory) { t.Action = "" }) },
		func() { each(func(t *Theory) { t.Check = "" }) },
		func() { each(func(t *Theory) { t.Text = prefix(t.Text, leastTheory) }) },
		func() { shorter.TellApart = "" },
	} {
		if step(); shorter.length() <= limitDiagnosis {
			break
		}
	}
	return &shorter
}

// length is how much of a page it takes, in bytes of HTML.
func (d *Diagnosis) length() int {
	var p page
	p.diagnosis(View{Diagnosis: d})
	p.trust(View{Diagnosis: d})
	return p.b.Len()
}

// prefix is the beginning of a text, of at most n bytes.
func prefix(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
