package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// story is a ledger with everything that may be in one: the number of an entry
// is its place, less the ledger's own entry 0.
func story(t *testing.T) []Entry {
	t.Helper()
	s := newScene(t)
	s.step(s.observation()) // 1 policy.loaded
	s.pass(time.Minute)
	s.step(s.breached("z_score")) // 2 detected, 3 suppressed
	s.pass(time.Minute)
	s.step(s.breached("z_score", "burn_rate")) // 4 joined, 5 proposed
	s.pass(time.Minute)
	s.step(s.recovered()) // 6 recovered, 7 suppressed
	s.pass(time.Minute)
	s.switchShadow(false)         // 8
	s.step(s.breached("z_score")) // 9 detected, 10 due
	s.pass(time.Minute)
	s.step(s.breached("z_score")) // 11 proposed
	s.pass(time.Minute)
	s.step(s.breached("z_score"))                                // 12 validated, 13 due, 14 due
	for _, to := range []Stage{Authorized, Executed, Resolved} { // 15, 16, 17
		e := s.about().entry(KindOf(to), ActorExecutor)
		e.IncidentID, e.Stage, e.ActionDigest = s.state.Open.ID, to, "sha256:action"
		if to == Authorized {
			e.Actor = "human:ana"
		}
		s.take(Draft{Entry: e})
	}
	d, err := Mark(s.about(), s.entries[1].Entry.IncidentID, FalseAlarm, "ana", "a test")
	if err != nil {
		t.Fatal(err)
	}
	s.take(d) // 18
	s.pass(time.Minute)
	s.step(s.breached("burn_rate")) // 19 detected, 20 due
	s.take(Denied(s.about(), "GET /incidents", 403, 2, "other"))
	var out []Entry
	for _, e := range s.entries {
		e.Entry.Evidence = nil // the log of the tests has no blobs
		out = append(out, e.Entry)
	}
	return out
}

func audit(t *testing.T, o CheckOptions, leaves [][]byte) *verify.Report {
	t.Helper()
	l := logtest.New(t, "audit")
	for _, leaf := range leaves {
		l.Append(leaf)
	}
	return verify.Log(t.Context(), l, verify.Options{Checks: []verify.Check{NewCheck(o)}})
}

func leavesOf(t *testing.T, entries []Entry) [][]byte {
	t.Helper()
	var out [][]byte
	for _, e := range entries {
		leaf, err := json.Marshal(e) // not Leaf, which would refuse some
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, leaf)
	}
	return out
}

func TestSoundLedgers(t *testing.T) {
	entries := leavesOf(t, story(t))
	old := [][]byte{
		[]byte(`{"v":1,"kind":"sidecar.started","time":"2026-01-02T03:04:05Z"}`),
		[]byte(`{"v":1,"kind":"sidecar.stopped","time":"2026-01-01T03:04:05Z"}`), // the clock was put back
		[]byte(`{"kind":"other.thing","n":1}`), []byte(`{"note":"INCIDENT","kind":"incidents"}`),
	}
	for name, leaves := range map[string][][]byte{
		"all there is": entries, "before incidents": old, "both": append(old[:4:4], entries...),
		"a foreign kind later": append(entries[:5:5], old[2]),
	} {
		if r := audit(t, CheckOptions{}, leaves); r.Code != verify.Verified {
			t.Errorf("%s: %v %+v", name, r.Code, r.Problem)
		}
	}
}

func TestBrokenRules(t *testing.T) {
	other := "sha256:" + strings.Repeat("ab", 32)
	without := func(i int) func([]Entry) []Entry {
		return func(s []Entry) []Entry { return append(s[:i-1:i-1], s[i:]...) }
	}
	change := func(i int, f func(*Entry)) func([]Entry) []Entry {
		return func(s []Entry) []Entry { f(&s[i-1]); return s }
	}
	insert := func(i int, f func([]Entry) Entry) func([]Entry) []Entry {
		return func(s []Entry) []Entry {
			e := f(s)
			return append(append(s[:i-1:i-1], e), s[i-1:]...)
		}
	}
	for name, c := range map[string]struct {
		break_          func([]Entry) []Entry
		index           uint64
		text            string
		expected, found string
	}{
		"illegal transition":    {without(11), 11, "illegal transition of inc-", "from DETECTED to PROPOSED or RECOVERED", "VALIDATED"},
		"of an ended one":       {insert(8, func(s []Entry) Entry { s[4].Time = s[6].Time; return s[4] }), 8, "of an incident that is not open", "none is", "which has ended"},
		"of none":               {change(5, func(e *Entry) { e.IncidentID = "inc-000000-1" }), 5, "not open", "which is open", "which the ledger does not have"},
		"without authorization": {without(15), 15, "execution without authorization", "AUTHORIZED", "EXECUTED"},
		"another action":        {change(16, func(e *Entry) { e.ActionDigest = "sha256:x" }), 16, "not what was authorized", "sha256:action", "sha256:x"},
		"due in shadow":         {without(8), 9, "an effect in shadow mode", KindEffectSuppressed, KindEffectDue},
		"authorized in shadow":  {insert(15, shadowOn), 16, "is AUTHORIZED in shadow mode", "nothing that has an effect", "incident.authorized"},
		"executed in shadow":    {insert(16, shadowOn), 17, "is EXECUTED in shadow mode", "nothing that has an effect", "incident.executed"},
		"suppressed while live": {change(10, func(e *Entry) { suppress(e) }), 10, "suppressed by a shadow mode that is off", KindEffectDue, KindEffectSuppressed},
		"unknown policy":        {change(6, func(e *Entry) { e.PolicyDigest = other }), 6, "never recorded", KindPolicyLoaded, other},
		"policy too late":       {without(1), 1, "never recorded", KindPolicyLoaded, "sha256:"},
		"effect's policy":       {change(3, func(e *Entry) { e.PolicyDigest = other }), 3, "never recorded", "", other},
		"no policy":             {change(6, func(e *Entry) { e.PolicyDigest = "" }), 6, "names no policy", "sha256:", `""`},
		"clock":                 {change(6, func(e *Entry) { e.Time = e.Time.Add(-63 * time.Second) }), 6, "runs backwards", "2026-01-02T03:06:05Z or later", "2026-01-02T03:06:02Z"},
		"clock of the sidecar":  {insert(6, func(s []Entry) Entry { return Entry{V: 1, Kind: "sidecar.started", Time: start} }), 6, "runs backwards", "or later", ""},
		"two open incidents":    {func(s []Entry) []Entry { return append(s[:5:5], s[7:]...) }, 7, "two open incidents", "inc-", "inc-"},
		"shadow by nobody":      {change(8, func(e *Entry) { e.Actor = "human: " }), 8, "by somebody who may not", "human:*", "nobody"},
		"shadow by policy":      {change(8, func(e *Entry) { e.Actor = ActorPolicy }), 8, "by somebody who may not", "human:*", "policy"},
		"shadow that was":       {change(8, func(e *Entry) { e.Metadata["previous"] = "off" }), 8, "wrongly what it was", "on", "off"},
		"diagnosis":             {change(11, func(e *Entry) { e.Actor = "diagnosis:model" }), 11, "may not take this step", "policy", "diagnosis:model"},
		"unknown kind":          {change(6, func(e *Entry) { e.Kind = "incident.cured" }), 6, "kind that this program does not know", "", "incident.cured"},
		"unknown version":       {change(6, func(e *Entry) { e.V = 2 }), 6, "version", "1", "2"},
		"stage of another kind": {change(5, func(e *Entry) { e.Stage = Validated }), 5, "not the one of the entry's kind", "PROPOSED", "VALIDATED"},
		"joined twice":          {change(4, func(e *Entry) { e.Metadata["key"] = "z_score" }), 4, "part of it already", "", "z_score"},
		"mark of none":          {change(18, func(e *Entry) { e.IncidentID = "inc-000000-1" }), 18, "does not have", "", "inc-000000-1"},
		"id of before":          {change(19, func(e *Entry) { e.IncidentID = "inc-000000-2" }), 19, "later than those before", "later than inc-", "inc-000000-2"},
		"nameless tenant":       {change(19, func(e *Entry) { e.TenantID = "" }), 19, "does not say whose it is", "tenant_id", ""},
		"another tenant's":      {change(6, func(e *Entry) { e.TenantID = "other" }), 6, "not open", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			leaves := leavesOf(t, c.break_(story(t)))
			r := audit(t, CheckOptions{}, leaves)
			if r.Code != verify.Invalid || r.Problem.Index == nil {
				t.Fatalf("%v %+v", r.Code, r.Problem)
			}
			p := r.Problem
			if *p.Index != c.index || !strings.Contains(p.Text, c.text) || !strings.Contains(p.Expected, c.expected) || !strings.Contains(p.Found, c.found) {
				t.Errorf("entry %d: %q, expected %q, found %q", *p.Index, p.Text, p.Expected, p.Found)
			}
		})
	}
}

// TestRecordedPolicy asks the check alone: a verification finds first that
// there is no such blob.
func TestRecordedPolicy(t *testing.T) {
	e := story(t)[0]
	for sum, want := range map[string]bool{strings.TrimPrefix(e.PolicyDigest, digestPrefix): true, strings.Repeat("00", 32): false} {
		e.Evidence = []Evidence{{PolicyFile, sum, 0}}
		if err := NewCheck(CheckOptions{}).Entry(1, leavesOf(t, []Entry{e})[0]); (err == nil) != want {
			t.Errorf("%s: %v", sum, err)
		}
	}
}

func shadowOn(s []Entry) Entry {
	e := s[7]
	e.Kind, e.Time = KindShadowOn, s[13].Time
	e.Metadata = map[string]any{"previous": "off"}
	return e
}

func suppress(e *Entry) {
	e.Kind, e.Actor = KindEffectSuppressed, ActorShadow
	e.Metadata = map[string]any{"suppressed_action": Notification}
}

func TestEntriesThatCannotBeRead(t *testing.T) {
	entries := leavesOf(t, story(t))
	for name, leaf := range map[string]string{
		"time":   `{"v":1,"kind":"incident.proposed","stage":7}`,
		"empty":  `{"kind":"shadow.on"}`,
		"casing": strings.Replace(string(entries[4]), `"actor":`, `"Actor":`, 1),
	} {
		r := audit(t, CheckOptions{}, append(entries[:4:4], []byte(leaf)))
		if r.Code != verify.Invalid || *r.Problem.Index != 5 {
			t.Errorf("%s: %v %+v", name, r.Code, r.Problem)
		}
	}
}

func TestIncidentWithoutEnd(t *testing.T) {
	entries := story(t)
	last := entries[len(entries)-1]
	for _, c := range []struct {
		limit, age time.Duration
		want       verify.Code
	}{
		{0, 24 * time.Hour, verify.Verified}, // of the policy
		{0, 24*time.Hour + time.Second, verify.Invalid},
		{48 * time.Hour, 48 * time.Hour, verify.Verified},
		{time.Hour, time.Hour + time.Second, verify.Invalid},
	} {
		stopped := fmt.Appendf(nil, `{"v":1,"kind":"sidecar.stopped","time":%q}`, last.Time.Add(c.age).Format(time.RFC3339))
		r := audit(t, CheckOptions{MaxOpen: c.limit}, append(leavesOf(t, entries), stopped))
		if r.Code != c.want {
			t.Errorf("%s after %s: %v %+v", c.limit, c.age, r.Code, r.Problem)
		}
		if p := r.Problem; p != nil && (*p.Index != 19 || !strings.Contains(p.Text, "has no end") || p.Expected == "" || p.Found == "") {
			t.Errorf("%+v", p)
		}
	}
}

func TestManyTenants(t *testing.T) {
	c := NewCheck(CheckOptions{})
	e := story(t)[0]
	for i := range maxTenants + 1 {
		e.TenantID = fmt.Sprint("tenant", i)
		leaf, err := e.Leaf()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Entry(uint64(i), leaf); (err != nil) != (i == maxTenants) {
			t.Fatalf("tenant %d: %v", i, err)
		}
	}
}
