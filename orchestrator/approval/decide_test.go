package approval

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// tap decides by a link, as a desk does.
func (s *scene) tap(c Claims, approve bool) Outcome {
	s.Helper()
	o, err := s.Decide(s.Context(), c, Verdict{Approve: approve, Reason: "not  now\n"})
	if err != nil {
		s.Fatal(err)
	}
	return o
}

func TestOneApprovalIsEnough(t *testing.T) {
	s := newScene(t, Step{})
	ana, _ := s.offer("ana")
	ben, _ := s.offer("ben")
	if o := s.request.Stand(ana, s.circumstances()); o.Kind != Open || o.Quorum != 1 || o.Reason != "" {
		t.Fatalf("%+v", o)
	}
	s.pass(time.Minute)
	if o := s.tap(ana, true); o.Kind != Authorized || o.By != "ana" || !o.At.Equal(s.now) || o.Approvals != 1 {
		t.Errorf("%+v", o)
	}
	last := s.steps[len(s.steps)-1]
	if last.ActionDigest != action || last.PolicyDigest != policy || !slices.Equal(last.Approvers, []string{"ana"}) || last.LinkID != ana.ID {
		t.Errorf("%+v", last)
	}
	s.pass(time.Second)
	for _, c := range []Claims{ana, ben, ana, ben} {
		if o := s.tap(c, c.Contact == "ana"); o.Kind != Already || o.By != "ana" || o.Decided != StepAuthorized || !o.At.Equal(began.Add(time.Minute)) {
			t.Errorf("%+v", o)
		}
	}
	s.expect("authorized", "refused used") // ana's double tap is none
	s.pass(time.Hour)
	if o := s.tap(ben, true); o.Kind != Already {
		t.Errorf("an expired link of a decided request: %+v", o)
	}
}

func TestRejection(t *testing.T) {
	s := newScene(t, Step{Quorum: 3})
	ana, _ := s.offer("ana")
	ben, _ := s.offer("ben")
	s.tap(ana, true)
	if o := s.tap(ben, false); o.Kind != Rejected || o.By != "ben" {
		t.Errorf("%+v", o)
	}
	if last := s.steps[len(s.steps)-1]; last.Text != "not now" {
		t.Errorf("%+v", last)
	}
	if o := s.tap(ana, true); o.Kind != Already || o.Decided != StepRejected || o.By != "ben" {
		t.Errorf("%+v", o)
	}
	s.expect("approved", "rejected", "refused used")
}

func TestQuorum(t *testing.T) {
	s := newScene(t, Step{Quorum: 2, Risk: High, SubmittedBy: "ana"})
	ana, _ := s.offer("ana")
	again, _ := s.offer("ana")
	other, _ := s.offer(" ANA ")
	ben, _ := s.offer("ben")
	if o := s.tap(ana, true); o.Kind != Waiting || o.Approvals != 1 || o.Quorum != 2 {
		t.Errorf("%+v", o)
	}
	for _, c := range []Claims{ana, again, other, ana} {
		if o := s.request.Stand(c, s.circumstances()); o.Kind != Waiting || o.Reason != SamePerson {
			t.Errorf("%+v", o)
		}
		if o := s.tap(c, true); o.Kind != Refused || o.Reason != SamePerson || o.Approvals != 1 {
			t.Errorf("one person twice: %+v", o)
		}
	}
	if o := s.tap(ben, true); o.Kind != Authorized || o.Approvals != 2 {
		t.Errorf("%+v", o)
	}
	s.expect("approved", "refused same_person", "refused same_person", "refused same_person", "authorized")
	if last := s.steps[len(s.steps)-1]; !slices.Equal(last.Approvers, []string{"ana", "ben"}) {
		t.Errorf("%+v", last)
	}
}

func TestWhoApprovedMayStillReject(t *testing.T) {
	s := newScene(t, Step{Quorum: 2})
	ana, _ := s.offer("ana")
	s.tap(ana, true)
	if o := s.tap(ana, false); o.Kind != Rejected {
		t.Errorf("%+v", o)
	}
	s.expect("approved", "rejected")
}

func TestRequesterIsNotTheOnlyApprover(t *testing.T) {
	for _, test := range []struct {
		risk   Risk
		by     string
		quorum int
		want   OutcomeKind
	}{
		{High, "ana", 1, Refused}, {High, "Ana", 1, Refused}, {High, "human:ana", 1, Refused}, {High, "ben", 1, Authorized}, {High, "", 1, Authorized},
		{High, "ana", 2, Waiting}, {Medium, "ana", 1, Authorized}, {Low, "ana", 1, Authorized},
	} {
		s := newScene(t, Step{Risk: test.risk, SubmittedBy: test.by, Quorum: test.quorum})
		ana, _ := s.offer("ana")
		stand := s.request.Stand(ana, s.circumstances())
		if stand.Kind != Open || (stand.Reason == Requester) != (test.want == Refused) {
			t.Errorf("%+v: %+v", test, stand)
		}
		if o := s.tap(ana, true); o.Kind != test.want {
			t.Errorf("%+v: %+v", test, o)
		}
		if test.want == Refused {
			if o := s.tap(ana, false); o.Kind != Rejected {
				t.Errorf("who asked may reject: %+v", o)
			}
			s.expect("refused requester", "rejected")
		}
	}
}

func TestTapsThatCountForNothing(t *testing.T) {
	const other = "sha256:other"
	for name, test := range map[string]struct {
		change func(*scene, *Claims)
		want   OutcomeKind
		why    Reason
	}{
		"another tenant":     {func(_ *scene, c *Claims) { c.Tenant = "other" }, Refused, OtherTenant},
		"another incident":   {func(_ *scene, c *Claims) { c.Incident = "inc-850da6-1" }, Refused, OtherIncident},
		"another contact":    {func(_ *scene, c *Claims) { c.Contact = "eve" }, Refused, UnknownLink},
		"an unknown link":    {func(_ *scene, c *Claims) { c.ID = "none" }, Refused, UnknownLink},
		"another action":     {func(_ *scene, c *Claims) { c.ActionDigest = other }, Refused, UnknownLink},
		"another policy":     {func(_ *scene, c *Claims) { c.PolicyDigest = other }, Refused, UnknownLink},
		"a longer life":      {func(_ *scene, c *Claims) { c.ExpiresAt = c.ExpiresAt.Add(time.Second) }, Refused, UnknownLink},
		"expired":            {func(s *scene, _ *Claims) { s.pass(LinkLife) }, Expired, TooLate},
		"recovered":          {func(s *scene, _ *Claims) { s.around.Recovered = true }, Recovered, HasRecovered},
		"the catalogue":      {func(s *scene, _ *Claims) { s.around.ActionDigest = other }, Refused, OtherAction},
		"the action is gone": {func(s *scene, _ *Claims) { s.around.ActionDigest = "" }, Refused, OtherAction},
		"the policy":         {func(s *scene, _ *Claims) { s.around.PolicyDigest = other }, Refused, OtherPolicy},
		"shadow":             {func(s *scene, _ *Claims) { s.around.Shadow = true }, Refused, InShadow},
		"withdrawn":          {func(s *scene, _ *Claims) { s.around.Withdrawn = true }, Refused, Withdrawn},
		"asked anew": {func(s *scene, _ *Claims) {
			s.record(Step{Kind: StepAsked, At: s.now, Tenant: tenant, Incident: incident, ActionDigest: other, PolicyDigest: policy, Risk: Low, Quorum: 1})
			s.around.ActionDigest = other
		}, Refused, OtherAction},
		"expired on record": {func(s *scene, _ *Claims) {
			s.pass(LinkLife)
			for _, step := range s.request.Expire(s.now) {
				s.record(step)
			}
		}, Expired, TooLate},
		"recovered on record": {func(s *scene, _ *Claims) {
			s.record(Step{Kind: StepEnded, At: s.now, Tenant: tenant, Incident: incident, Stage: "RECOVERED"})
		}, Recovered, HasRecovered},
	} {
		for _, approve := range []bool{true, false} {
			s := newScene(t, Step{})
			c, _ := s.offer("ana")
			test.change(s, &c)
			before := len(s.kinds())
			for range 3 {
				o := s.tap(c, approve)
				if o.Kind != test.want || o.Kind == Refused && o.Reason != test.why {
					t.Errorf("%s: %+v, want %s %s", name, o, test.want, test.why)
				}
			}
			if got := s.kinds()[before:]; !slices.Equal(got, []string{"refused " + string(test.why)}) {
				t.Errorf("%s: recorded %q", name, got)
			}
		}
	}
}

func TestRefusalsDoNotFillTheLedger(t *testing.T) {
	s := newScene(t, Step{})
	c, _ := s.offer("ana")
	for i := range 10 * maxRefused {
		c.ID = fmt.Sprint("guess-", i)
		s.tap(c, true)
	}
	if got := len(s.kinds()); got != maxRefused {
		t.Errorf("%d refusals are on record, want %d", got, maxRefused)
	}
	if steps := s.request.Refuse(Claims{}, Forged, s.now); steps != nil {
		t.Errorf("%+v", steps)
	}
	if steps := new(Request).Refuse(c, Forged, s.now); steps != nil {
		t.Errorf("of what was not asked: %+v", steps)
	}
}

func TestExpiry(t *testing.T) {
	s := newScene(t, Step{})
	if s.request.Expire(began.Add(time.Hour)) != nil || !s.request.Expires().IsZero() {
		t.Error("it expires before there is a link")
	}
	s.offer("ana")
	s.pass(time.Minute)
	s.offer("ben")
	end := began.Add(time.Minute + LinkLife)
	if s.request.Expire(end.Add(-1)) != nil || !s.request.Expires().Equal(end) {
		t.Error("it expires before its last link")
	}
	steps := s.request.Expire(end)
	if len(steps) != 1 || steps[0].Kind != StepExpired {
		t.Fatalf("%+v", steps)
	}
	s.record(steps[0])
	if s.request.Expire(end) != nil {
		t.Error("it expires twice")
	}
}

func TestStepsThatMayNotBe(t *testing.T) {
	step := func(kind StepKind, change func(*Step)) Step {
		s := Step{Kind: kind, At: began.Add(time.Second), Tenant: tenant, Incident: incident, LinkID: "l1", Contact: "ana",
			ActionDigest: action, PolicyDigest: policy, Approvers: []string{"ana"}}
		if change != nil {
			change(&s)
		}
		return s
	}
	asked := Step{Kind: StepAsked, At: began, Tenant: tenant, Incident: incident, ActionDigest: action, PolicyDigest: policy, Risk: Low, Quorum: 1}
	offered := Step{Kind: StepOffered, At: began, Tenant: tenant, Incident: incident, LinkID: "l1", Contact: "ana",
		ActionDigest: action, PolicyDigest: policy, IssuedAt: began, ExpiresAt: began.Add(LinkLife)}
	two, high := asked, asked
	two.Quorum = 2
	high.Risk, high.SubmittedBy = High, "ana"
	for name, test := range map[string]struct {
		before []Step
		last   Step
		want   string
	}{
		"authorized at once":        {nil, step(StepAuthorized, nil), "before anything was asked"},
		"without a link":            {[]Step{asked}, step(StepAuthorized, nil), "without a link"},
		"by another's link":         {[]Step{asked, offered}, step(StepAuthorized, func(s *Step) { s.Contact = "eve" }), "without a link"},
		"by an expired link":        {[]Step{asked, offered}, step(StepAuthorized, func(s *Step) { s.At = began.Add(LinkLife) }), "expired"},
		"of another action":         {[]Step{asked, offered}, step(StepAuthorized, func(s *Step) { s.ActionDigest = "sha256:x" }), "something else"},
		"in other names":            {[]Step{asked, offered}, step(StepAuthorized, func(s *Step) { s.Approvers = []string{"ben"} }), "approved"},
		"without its quorum":        {[]Step{two, offered}, step(StepAuthorized, nil), "1 of 2"},
		"approved with one enough":  {[]Step{asked, offered}, step(StepApproved, nil), "1 of 1"},
		"one person twice":          {[]Step{two, offered, step(StepApproved, nil)}, step(StepAuthorized, nil), "twice"},
		"the requester alone":       {[]Step{high, offered}, step(StepAuthorized, nil), "nobody else"},
		"another tenant":            {[]Step{asked, offered}, step(StepAuthorized, func(s *Step) { s.Tenant = "other" }), "another incident"},
		"twice":                     {[]Step{asked, offered, step(StepAuthorized, nil)}, step(StepAuthorized, nil), "after it was authorized"},
		"after a rejection":         {[]Step{asked, offered, step(StepRejected, nil)}, step(StepAuthorized, nil), "after it was rejected"},
		"after the recovery":        {[]Step{asked, offered, step(StepEnded, nil)}, step(StepAuthorized, nil), "after it was ended"},
		"asked after the end":       {[]Step{asked, offered, step(StepRejected, nil)}, asked, "after it was rejected"},
		"expired while it was good": {[]Step{asked, offered}, step(StepExpired, nil), "while a link was good"},
		"expired without a link":    {[]Step{asked}, step(StepExpired, nil), "before there was one"},
		"two links of one id":       {[]Step{asked, offered}, offered, "one id"},
		"a link for something else": {[]Step{asked}, func() Step { o := offered; o.ActionDigest = "sha256:x"; return o }(), "something else"},
		"a link without an end":     {[]Step{asked}, func() Step { o := offered; o.ExpiresAt = time.Time{}; return o }(), "good for"},
		"no quorum":                 {nil, func() Step { a := asked; a.Quorum = 0; return a }(), "must be 1 to 16"},
		"no risk":                   {nil, func() Step { a := asked; a.Risk = ""; return a }(), "risk"},
		"no action":                 {nil, func() Step { a := asked; a.ActionDigest = ""; return a }(), "must name"},
		"another incident asked":    {[]Step{asked}, func() Step { a := asked; a.Incident = "inc-1"; return a }(), "another incident"},
		"no time":                   {[]Step{asked}, Step{Kind: StepEnded, Tenant: tenant, Incident: incident}, "no time"},
		"no kind":                   {[]Step{asked}, step("", nil), "no step"},
		"by a link of before": {[]Step{asked, offered, func() Step { a := asked; a.ActionDigest = "sha256:x"; return a }()},
			step(StepAuthorized, func(s *Step) { s.ActionDigest = "sha256:x" }), "something else than is asked"},
	} {
		r, err := Fold(slices.Values(test.before))
		if err != nil {
			t.Errorf("%s: the steps before: %v", name, err)
			continue
		}
		before := r.Clone()
		if err := r.Apply(test.last); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		if !reflect.DeepEqual(before, r) {
			t.Errorf("%s: refused, and changed: %+v", name, r)
		}
		if _, err := Fold(slices.Values(append(test.before, test.last))); err == nil {
			t.Errorf("%s: folded", name)
		}
	}
}

// TestWhateverComes plays requests at random: what is decided can always be
// folded again, through JSON, to the same request, and the promises hold.
func TestWhateverComes(t *testing.T) {
	people := []string{"ana", "ben", "cleo", "Ana"}
	for seed := range uint64(400) {
		dice := rand.New(rand.NewPCG(seed, 5))
		s := newScene(t, Step{Quorum: 1 + dice.IntN(3), Risk: []Risk{Low, High}[dice.IntN(2)], SubmittedBy: people[dice.IntN(2)]})
		var links []Claims
		authorized := 0
		for range 40 {
			switch n := dice.IntN(12); {
			case n < 3 && s.request.End == nil:
				c, _ := s.offer(people[dice.IntN(len(people))])
				links = append(links, c)
			case n < 10 && len(links) > 0:
				c := links[dice.IntN(len(links))]
				if dice.IntN(8) == 0 {
					c.Contact = "eve"
				}
				if s.tap(c, dice.IntN(6) > 0).Kind == Authorized {
					authorized++
				}
			case n == 10:
				s.pass(time.Duration(dice.IntN(90)) * time.Second)
			case n == 11:
				for _, step := range s.request.Expire(s.now) {
					s.record(step)
				}
				s.around.Shadow = dice.IntN(4) == 0
			}
		}
		if authorized > 1 {
			t.Fatalf("seed %d: authorized %d times", seed, authorized)
		}
		again := new(Request)
		for _, step := range s.steps {
			var read Step
			if err := json.Unmarshal(must(json.Marshal(step)), &read); err != nil {
				t.Fatal(err)
			}
			if err := again.Apply(read); err != nil {
				t.Fatalf("seed %d: %+v: %v", seed, read, err)
			}
		}
		if !reflect.DeepEqual(*again, s.request) {
			t.Fatalf("seed %d: folded again\n%+v\nwant\n%+v", seed, *again, s.request)
		}
		if end := again.End; end != nil && end.Kind == StepAuthorized {
			seen := map[string]bool{}
			for _, a := range again.Approvals {
				seen[strings.ToLower(a.Contact)] = true
			}
			if len(seen) != again.Quorum || again.Risk == High && len(seen) == 1 && seen[again.SubmittedBy] {
				t.Fatalf("seed %d: %+v", seed, again)
			}
		}
	}
}
