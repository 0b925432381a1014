package approval

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func diagnosed(theories ...Theory) View {
	v := someView()
	v.Standing = Outcome{Kind: Open, Quorum: 1}
	v.Diagnosis = &Diagnosis{Theories: theories, TellApart: "The pool's figures.", Earlier: "one like it ended RESOLVED"}
	return v
}

var (
	slow = Theory{By: "rules", Cause: "slow_dependency", Text: "The service waits.", Check: "The slow queries.", Rests: "F1 latency p95: 4 s", Confidence: 0.85}
	pool = Theory{By: "local", Cause: "pool_exhaustion", Text: "Requests queue <a href=x>.", Check: "The pool.", Action: "restart", Confidence: 0.7}
)

func TestPageShowsADiagnosis(t *testing.T) {
	page, _ := requestPage(diagnosed(slow), someClaims(), "t", "c", began)
	for _, want := range []string{"What may be the cause", "It decides nothing", "Slow dependency (rules, confidence 85", "The service waits.", "Check first: The slow queries.", "It rests on F1", "Seen before: one like it"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if strings.Contains(string(page), `name="trusted"`) {
		t.Error("it is asked whom one trusts, and there is only one")
	}
	page, _ = requestPage(diagnosed(slow, pool), someClaims(), "t", "c", began)
	for _, want := range []string{"Two diagnoses differ", "Pool exhaustion (local, confidence 70", "To tell them apart: The pool", `name="trusted" value="rules"`, `name="trusted" value="local"`, "Requests queue &lt;a href=x&gt;."} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	wellFormed(t, page)
	v := diagnosed(slow, pool)
	v.Diagnosis = nil
	if page, _ = requestPage(v, someClaims(), "t", "c", began); strings.Contains(string(page), "What may be the cause") {
		t.Error("nobody has said anything of a cause")
	}
}

// What would run is shown the same, whatever a diagnosis says and however long it is.
func TestADiagnosisTakesNothingFromTheAction(t *testing.T) {
	shown := func(d *Diagnosis) string {
		v := flood("<")
		v.Standing, v.Diagnosis = Outcome{Kind: Open, Quorum: 1}, d
		page, _ := requestPage(v, someClaims(), "t", "c", began)
		_, rest, _ := strings.Cut(string(page), "Exactly what will run")
		action, _, _ := strings.Cut(rest, "<h2")
		return action
	}
	for _, text := range []string{"x", "<", "é "} {
		d := flood(text).Diagnosis
		if shown(d) != shown(nil) || shown(nil) == "" {
			t.Errorf("%q: with a diagnosis what would run is shown as %q, without as %q", text, shown(d), shown(nil))
		}
		if n := fitted(d).length(); n > limitDiagnosis {
			t.Errorf("%q: the diagnosis takes %d bytes", text, n)
		}
		if len(d.Theories) != 3 || d.Earlier == "" {
			t.Error("what was given was changed")
		}
	}
	d := diagnosed(slow, pool).Diagnosis
	d.Theories[0].Text = strings.Repeat("A sentence of it. ", 20)
	d.Earlier = strings.Repeat("one like it ended RESOLVED ", 10)
	if f := fitted(d); f.Theories[0].Text != d.Theories[0].Text || f.Theories[1].Check == "" {
		t.Errorf("more is left out than need be: %+v", f)
	}
}

// Whom the approver trusts is in the step that is recorded, and changes nothing else.
func TestTrustIsRecordedAndCountsForNothing(t *testing.T) {
	for trusted, want := range map[string]string{"": "", "local": "local", "nobody at all\x1b": "nobody at all"} {
		s := newScene(t, Step{})
		_, token := s.offer("ana")
		s.do(s.send("/confirm", token, func(_ *http.Request, values url.Values) { values.Set("trusted", trusted) }))
		last := s.steps[len(s.steps)-1]
		if s.expect("authorized"); last.Kind != StepAuthorized || last.Trusted != want {
			t.Errorf("%q: %+v", trusted, last)
		}
	}
}
