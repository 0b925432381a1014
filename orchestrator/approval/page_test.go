package approval

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// wellFormed reads a page as HTML that closes what it opens.
func wellFormed(t testing.TB, page []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	ids := map[string]bool{}
	open := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v\n%s", err, page)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open++
			for _, a := range e.Attr {
				if a.Name.Local == "id" {
					if ids[a.Value] {
						t.Errorf("two elements have the id %q", a.Value)
					}
					ids[a.Value] = true
				}
			}
		case xml.EndElement:
			open--
		}
	}
	if open != 0 || !utf8.Valid(page) {
		t.Errorf("%d elements stay open", open)
	}
}

// wave is half an hour of P95 that goes up, with a gap.
func wave() Chart {
	c := Chart{Warning: ptr(1000.0), Critical: ptr(3000.0)}
	for i := range 61 {
		p := Point{At: began.Add(time.Duration(i-60) * 30 * time.Second)}
		if i < 20 || i > 23 {
			p.Value = ptr(180 + 12*math.Abs(math.Sin(float64(i))) + 1650/(1+math.Exp(float64(48-i)/2)))
		}
		c.Points = append(c.Points, p)
	}
	return c
}

func someView() View {
	return View{
		Names:   map[string]string{"ana": "Ana Ruiz", "ben": "Ben Ode"},
		Service: "checkout", Stage: "VALIDATED", StartedAt: began.Add(-4*time.Minute - 12*time.Second), Status: "critical",
		Issue: "P95 is 1,847 ms and was 184 ms; 8 % of the requests fail.",
		Score: ptr(27.4), P95MS: ptr(1847.3), ErrorRate: ptr(0.08), Chart: wave(),
		Changes: []string{`3m earlier — a1b2c3d "Fix checkout query isolation level" (ana, +12/−3) · touches database files`, "2h earlier — flag new-basket on for 50 %"},
		Because: "requests are slower than the fixed limit, and there was a deployment shortly before",
		Action: Action{
			Name: "restart", Title: "Restart checkout", Risk: High, Method: "POST", URL: "https://deploy.example.com/hooks/restart",
			Headers: []Header{{"Content-Type", "application/json"}, {"Authorization", "Bearer ••••••"}, {"Webhook-Id", incident + ".restart"}},
			Body:    "{\"service\":\"checkout\",\"incident\":\"" + incident + "\",\n \"approver\":\"(who approves)\"}", Digest: action,
		},
		SubmittedBy: "human:ben", AskedAt: began.Add(-20 * time.Second),
		Policy: "2026-01 (sha256:0a738b0b…)", LedgerSize: 12345, LedgerRoot: "kGAEWcdMXKcN4aWTcDJ5pyEy3ddGWBc2n2sWW6SlnsM=",
	}
}

// pages are all that there can be seen, by name.
func pages(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	type act func(s *scene, ana, ben string) []byte
	look := func(s *scene, ana, _ string) []byte { return s.get(ana).Body.Bytes() }
	for name, p := range map[string]struct {
		asked Step
		do    act
	}{
		"open":      {Step{Risk: High, SubmittedBy: "human:ben"}, look},
		"quorum":    {Step{Risk: High, SubmittedBy: "human:ben", Quorum: 2}, func(s *scene, ana, ben string) []byte { s.confirm(ben); return s.get(ana).Body.Bytes() }},
		"requester": {Step{Risk: High, SubmittedBy: "ana"}, look},
		"waiting":   {Step{Quorum: 2}, func(s *scene, ana, _ string) []byte { return s.confirm(ana).Body.Bytes() }},
		"waited":    {Step{Quorum: 2}, func(s *scene, ana, _ string) []byte { s.confirm(ana); return s.get(ana).Body.Bytes() }},
		"approved":  {Step{}, func(s *scene, ana, _ string) []byte { return s.confirm(ana).Body.Bytes() }},
		"rejected":  {Step{}, func(s *scene, ana, _ string) []byte { return s.reject(ana).Body.Bytes() }},
		"already": {Step{}, func(s *scene, ana, ben string) []byte {
			s.confirm(ben)
			s.pass(9 * time.Second)
			return s.get(ana).Body.Bytes()
		}},
		"expired":   {Step{}, func(s *scene, ana, _ string) []byte { s.pass(LinkLife); return s.get(ana).Body.Bytes() }},
		"recovered": {Step{}, func(s *scene, ana, _ string) []byte { s.around.Recovered = true; return s.confirm(ana).Body.Bytes() }},
		"changed": {Step{}, func(s *scene, ana, _ string) []byte {
			s.around.ActionDigest = "sha256:x"
			return s.confirm(ana).Body.Bytes()
		}},
		"wrong": {Step{}, func(s *scene, _, _ string) []byte { return s.get(mint(t, testKey(2), someClaims())).Body.Bytes() }},
	} {
		s := newScene(t, p.asked)
		s.view = someView()
		s.view.SubmittedBy = p.asked.SubmittedBy
		if p.asked.Risk == "" {
			s.view.Action.Risk = Medium
		}
		_, ana := s.offer("ana")
		_, ben := s.offer("ben")
		s.pass(48 * time.Second)
		out[name] = p.do(s, ana, ben)
	}
	return out
}

func TestPagesAreAsTheyWere(t *testing.T) {
	for name, page := range pages(t) {
		wellFormed(t, page)
		if len(page) > 20_000 {
			t.Errorf("%s has %d bytes", name, len(page))
		}
		path := filepath.Join("testdata", name+".html")
		if *update {
			if err := os.WriteFile(path, page, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(page, want) {
			t.Errorf("%s is not as in %s, %v: look at it, and write it with -update\n%s", name, path, err, page)
		}
	}
}

// flood makes a view of which everything is as long as it can be and worse.
func flood(text string) View {
	long := strings.Repeat(text, limitBody+1)
	v := someView()
	v.Service, v.Status, v.Issue, v.Stage, v.Policy = long, long, long, long, long
	v.SubmittedBy, v.LedgerRoot, v.LedgerSize = long, long, math.MaxUint64
	v.Names = map[string]string{"ana": long, long: long}
	v.Score, v.P95MS, v.ErrorRate = ptr(math.MaxFloat64), ptr(math.MaxFloat64), ptr(math.MaxFloat64)
	v.Changes, v.Because = nil, long
	theory := Theory{By: long, Cause: long, Text: long, Check: long, Rests: long, Action: long, Confidence: math.MaxFloat64}
	v.Diagnosis = &Diagnosis{Theories: []Theory{theory, theory, theory}, TellApart: long, Earlier: long}
	for i := range 100 {
		v.Changes = append(v.Changes, long)
		v.Action.Headers = append(v.Action.Headers, Header{long, long})
		v.Approvals = append(v.Approvals, Approval{Contact: long})
		for range 10 {
			at := began.Add(time.Duration(len(v.Chart.Points)) * time.Hour)
			v.Chart.Points = append(v.Chart.Points, Point{at, ptr(float64(i * 1e6))})
		}
	}
	v.Action.Name, v.Action.Title, v.Action.Method, v.Action.URL, v.Action.Body, v.Action.Digest = long, long, long, long, long, long
	return v
}

// longest are claims with as long a token as there can be.
func longest(t testing.TB) (Claims, string) {
	c, k := someClaims(), testKey(1)
	var token string
	for n := 1; n <= maxID; n++ {
		c.Contact, c.Tenant, c.ID = strings.Repeat("c", n), strings.Repeat("t", n), strings.Repeat("i", n)
		next, err := k.Mint(c)
		if err != nil {
			break
		}
		token = next
	}
	if len(token) < 1000 {
		t.Fatalf("the longest token has %d bytes", len(token))
	}
	return c, token
}

func TestTheLongestPageIsStillSmall(t *testing.T) {
	c, token := longest(t)
	code := testKey(1).code(token)
	for _, text := range []string{"a", "<", "\"", "é", "日", "🛑", "\u202e", "\x00", "\xff", "a ", "&#39;", "Z̴̧̻̺"} {
		for _, standing := range []Outcome{
			{Kind: Open, Quorum: 16}, {Kind: Open, Quorum: 16, Reason: Requester}, {Kind: Waiting, Quorum: 16, At: began.AddDate(0, 0, -1)},
			{Kind: Already, By: strings.Repeat(text, 1000), Decided: StepAuthorized, Quorum: 3}, {Kind: Already, By: "ana", Decided: StepRejected},
			{Kind: Refused, Reason: OtherAction}, {Kind: Recovered}, {Kind: Expired},
		} {
			v := flood(text)
			v.Standing = standing
			whole := v.Diagnosis
			for _, d := range []*Diagnosis{nil, {Theories: whole.Theories[:1]}, {Theories: []Theory{{Text: whole.TellApart}, {Check: whole.TellApart}}}, whole} {
				v.Diagnosis = d
				page, _ := requestPage(v, c, token, code, began)
				if len(page) >= 20_000 {
					t.Errorf("%q, %s: %d bytes", text, standing.Kind, len(page))
				}
				wellFormed(t, page)
			}
			result := resultPage(noticeOf(standing, v, "ana", true, began), v, token)
			if len(result) >= 20_000 {
				t.Errorf("%q, %s: %d bytes after a tap", text, standing.Kind, len(result))
			}
			wellFormed(t, result)
		}
	}
}

func TestNothingOnThePageIsMarkupOfOthers(t *testing.T) {
	const attack = `"'></title></style></pre><img src=x onerror=alert(1)><script>x</script>&lt;b&gt;`
	v := flood(attack + " ")
	for _, kind := range []OutcomeKind{Open, Already, Waiting} {
		v.Standing = Outcome{Kind: kind, By: attack, Quorum: 2, Decided: StepAuthorized}
		page, _ := requestPage(v, someClaims(), "token", "code", began)
		for _, never := range []string{"<img", "<script", "onerror=alert(1)>", "'>", "&lt;b&gt;"} {
			if bytes.Contains(page, []byte(never)) {
				t.Errorf("%s: the page has %q:\n%s", kind, never, page)
			}
		}
		if n := bytes.Count(page, []byte("</style>")); n != 1 {
			t.Errorf("%d styles end", n)
		}
	}
}

func TestWhatIsSentIsShownAsItIs(t *testing.T) {
	v := someView()
	v.Standing = Outcome{Kind: Open, Quorum: 1}
	v.Action.Body = "{\n\t\"a\": \"\u202egnp.exe\u200b\x07é\u3164\u2800\xff <b>\"\n}"
	v.Action.Headers = []Header{{"X-\u2066Y", "1\r\n2"}}
	page, _ := requestPage(v, someClaims(), "t", "c", began)
	for _, want := range []string{
		"\n\n{\n\t&#34;a&#34;: &#34;\\u{202e}gnp.exe\\u{200b}\\u{7}é\\u{3164}\\u{2800}\\xff &lt;b&gt;&#34;\n}</pre>", "X-\\u{2066}Y: 1\\u{d}\n2",
	} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	for body, said := range map[int]bool{limitBody: false, limitBody + 1: true} {
		v.Action.Body = strings.Repeat("x", body)
		page, _ = requestPage(v, someClaims(), "t", "c", began)
		if bytes.Contains(page, []byte("the beginning of a body of "+thousands(float64(body))+" bytes")) != said {
			t.Errorf("a body of %d bytes is cut without a word, or is said to be", body)
		}
	}
}

func TestAViewOfNothing(t *testing.T) {
	page, status := requestPage(View{Standing: Outcome{Kind: Open}}, someClaims(), "t", "c", began)
	wellFormed(t, page)
	if status != 200 || bytes.Contains(page, []byte("NaN")) || bytes.Contains(page, []byte("<svg")) || bytes.Contains(page, []byte("<dd></dd>")) || !bytes.Contains(page, []byte("Nothing that is known of.")) {
		t.Errorf("%d\n%s", status, page)
	}
}

func TestCharts(t *testing.T) {
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Minute) }
	many := func(n int, value func(i int) *float64) Chart {
		var c Chart
		for i := range n {
			c.Points = append(c.Points, Point{at(i), value(i)})
		}
		return c
	}
	for name, test := range map[string]struct {
		chart Chart
		want  []string
	}{
		"nothing":    {Chart{}, nil},
		"one":        {many(1, func(int) *float64 { return ptr(1.0) }), nil},
		"unmeasured": {many(9, func(int) *float64 { return nil }), nil},
		"not a number": {many(9, func(i int) *float64 {
			return ptr([]float64{math.NaN(), math.Inf(1), -1}[i%3])
		}), nil},
		"errors": {Chart{Errors: true, Warning: ptr(0.02), Points: []Point{{at(0), ptr(0.001)}, {at(1), ptr(0.031)}}},
			[]string{">Error rate<", "the error rate went from 0.1 % to 3.1 %; the highest was 3.1 %.", ">2.0 %</text>"}},
		"all at once": {Chart{Points: []Point{{began, ptr(1.0)}, {began, ptr(2.0)}}}, []string{`d="M0 60L0 14"`}},
		"zeros":       {many(3, func(int) *float64 { return ptr(0.0) }), []string{"M0 106L170 106L340 106"}},
		"rising":      {many(3, func(i int) *float64 { return ptr(float64(i) * 50) }), []string{"M0 106L170 60L340 14", "Over 2 min, P95 went from 0 ms to 100 ms; the highest was 100 ms."}},
		"with a gap":  {many(5, func(i int) *float64 { return map[bool]*float64{true: nil, false: ptr(9.0)}[i == 2] }), []string{"M0 14L85 14M255 14L340 14"}},
		"a peak among many": {many(1000, func(i int) *float64 {
			if i == 777 {
				return ptr(5000.0)
			}
			return ptr(1.0)
		}), []string{"the highest was 5,000 ms"}},
	} {
		svg := test.chart.svg()
		if (svg == "") != (test.want == nil) || len(svg) > 3<<10 {
			t.Errorf("%s: %d bytes: %s", name, len(svg), svg)
		}
		for _, want := range test.want {
			if !strings.Contains(svg, want) {
				t.Errorf("%s lacks %q: %s", name, want, svg)
			}
		}
	}
	near := wave()
	if svg := near.svg(); !strings.Contains(svg, `class="warn"`) || strings.Contains(svg, `class="crit"`) {
		t.Errorf("of the thresholds only what comes near is drawn: %s", svg)
	}
}

func TestFigures(t *testing.T) {
	for got, want := range map[string]string{
		milliseconds(0): "0 ms", milliseconds(0.854): "0.85 ms", milliseconds(184.4): "184 ms", milliseconds(1847.3): "1,847 ms",
		milliseconds(1234567): "1,234,567 ms", milliseconds(math.NaN()): "unknown", milliseconds(1e300): "1e+300 ms", thousands(-1234): "-1,234", thousands(999): "999",
		percent(0): "0 %", percent(0.0012): "0.1 %", percent(0.08): "8.0 %", percent(0.87): "87 %", percent(math.Inf(1)): "unknown",
		duration(0): "0 s", duration(-time.Hour): "0 s", duration(59400 * time.Millisecond): "59 s", duration(252 * time.Second): "4 min 12 s",
		duration(time.Hour): "1 h", duration(185 * time.Minute): "3 h 5 min", duration(48 * time.Hour): "2 days",
		clock(began, began.Add(time.Hour)): "03:05:00 UTC", clock(began, began.AddDate(0, 0, 1)): "2 Jan 2026 03:05:00 UTC",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestEveryReasonHasItsWords(t *testing.T) {
	for _, why := range []Reason{Malformed, Forged, Altered, TooEarly, TooLate, OtherTenant, OtherIncident, OtherAction, OtherPolicy, UnknownLink,
		UsedUp, SamePerson, Requester, InShadow, Withdrawn, HasRecovered, CrossSite, NoForm} {
		if sentences[why] == "" || !strings.HasSuffix((&Error{why}).Error(), sentences[why]) {
			t.Errorf("%s has no sentence", why)
		}
		n := refusalNotice(why)
		if n.title == "" || n.status < 400 {
			t.Errorf("%s: %+v", why, n)
		}
		if why != UsedUp && why != HasRecovered && (len(n.text) != 3 || n.text[2] == "") {
			t.Errorf("%s does not say what to do: %+v", why, n)
		}
	}
}

// FuzzTexts puts text of anybody on the page: it stays text, and in its bounds.
func FuzzTexts(f *testing.F) {
	for _, seed := range []string{"", "plain", "<b>&\"'", "a\u202eb\u0000\r\n\tc", "é\u0301\u0301\u0301\u0301\u0301", "\xff\xfe"} {
		f.Add(seed, 40)
	}
	f.Fuzz(func(t *testing.T, text string, limit int) {
		limit = 8 + max(0, limit)%400
		shown, _ := verbatim(text, limit)
		for kind, out := range map[string]string{"prose": prose(text, limit), "verbatim": shown} {
			if len(out) > limit || !utf8.ValidString(out) || strings.ContainsAny(out, "<>\"'") {
				t.Fatalf("%s of %q within %d: %q", kind, text, limit, out)
			}
			for rest := out; ; {
				_, after, found := strings.Cut(rest, "&")
				if !found {
					break
				}
				if name, _, ok := strings.Cut(after, ";"); !ok || !strings.Contains("|lt|gt|amp|#34|#39|", "|"+name+"|") {
					t.Fatalf("%s of %q within %d has half an entity: %q", kind, text, limit, out)
				}
				rest = after
			}
		}
	})
}

func ExampleLink() {
	public, err := ParsePublicURL("https://approve.example.com")
	if err != nil {
		panic(err)
	}
	fmt.Println(Link(public, "eyJhbGciOi…"))
	// Output: https://approve.example.com/action/recover?token=eyJhbGciOi%E2%80%A6
}
