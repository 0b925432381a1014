package incident

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// story is a ledger with everything that may be in one: the number of an entry
// is its place, less the ledger's own entry 0.
func story(t *testing.T) []Entry {
	t.Helper()
	s := newScene(t)
	s.plan = Plan{Actions: recovery.Catalogue{restart}, Own: true, Contacts: []string{"ana", "ben"}}
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
	s.step(s.breached("z_score")) // 12 validated, 13 offered to ana, 14 to ben, 15 due, 16 due
	s.tap("ben", true)            // 17 approved
	s.tap("ben", true)            // 18 refused
	s.tap("ana", true)            // 19 authorized
	s.carry()                     // 20 executed, 21 due
	s.take(Receipt(s.about(), s.state.Open.ID, ActorExecutor, "delivered", "", map[string]any{
		"effect_index": 15.0, "effect_indices": []any{15.0, 16.0}, "outcome": "delivered", "contact": "ana",
	})) // 22
	s.receive(recovery.Accepted) // 23 receipt
	s.step(s.recovered())        // 24 resolved, 25 due
	d, err := Mark(s.about(), s.entries[1].Entry.IncidentID, FalseAlarm, "", "ana", "a test")
	if err != nil {
		t.Fatal(err)
	}
	s.take(d) // 26
	s.pass(time.Minute)
	s.step(s.breached("burn_rate")) // 27 detected, 28 due
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
		"all there is": entries, "before incidents": old, "both": append(old[:4:4], entries[:21]...), // receipts name entries by their number
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
		"illegal transition":      {without(11), 11, "illegal transition of inc-", "from DETECTED to PROPOSED or RECOVERED", "VALIDATED"},
		"of an ended one":         {insert(8, func(s []Entry) Entry { s[4].Time = s[6].Time; return s[4] }), 8, "of an incident that is not open", "none is", "which has ended"},
		"of none":                 {change(5, func(e *Entry) { e.IncidentID = "inc-000000-1" }), 5, "not open", "which is open", "which the ledger does not have"},
		"without authorization":   {without(19), 19, "execution without authorization", "AUTHORIZED", "EXECUTED"},
		"another action":          {change(20, func(e *Entry) { e.ActionDigest = "sha256:x" }), 20, "not what was authorized", restart.Digest(), "sha256:x"},
		"due in shadow":           {without(8), 9, "an effect in shadow mode", KindEffectSuppressed, KindEffectDue},
		"authorized in shadow":    {insert(19, shadowOn), 20, "is AUTHORIZED in shadow mode", "nothing that has an effect", "incident.authorized"},
		"executed in shadow":      {insert(20, shadowOn), 21, "is EXECUTED in shadow mode", "nothing that has an effect", "incident.executed"},
		"suppressed while live":   {change(10, func(e *Entry) { suppress(e) }), 10, "suppressed by a shadow mode that is off", KindEffectDue, KindEffectSuppressed},
		"unknown policy":          {change(6, func(e *Entry) { e.PolicyDigest = other }), 6, "never recorded", KindPolicyLoaded, other},
		"policy too late":         {without(1), 1, "never recorded", KindPolicyLoaded, "sha256:"},
		"link's policy":           {change(13, func(e *Entry) { e.PolicyDigest = other }), 13, "never recorded", KindPolicyLoaded, other},
		"effect's policy":         {change(3, func(e *Entry) { e.PolicyDigest = other }), 3, "never recorded", "", other},
		"no policy":               {change(6, func(e *Entry) { e.PolicyDigest = "" }), 6, "names no policy", "sha256:", `""`},
		"clock":                   {change(6, func(e *Entry) { e.Time = e.Time.Add(-63 * time.Second) }), 6, "runs backwards", "2026-01-02T03:06:05Z or later", "2026-01-02T03:06:02Z"},
		"clock of the sidecar":    {insert(6, func(s []Entry) Entry { return Entry{V: 1, Kind: "sidecar.started", Time: start} }), 6, "runs backwards", "or later", ""},
		"two open incidents":      {func(s []Entry) []Entry { return append(s[:5:5], s[7:]...) }, 7, "two open incidents", "inc-", "inc-"},
		"shadow by nobody":        {change(8, func(e *Entry) { e.Actor = "human: " }), 8, "by somebody who may not", "human:*", "nobody"},
		"shadow by policy":        {change(8, func(e *Entry) { e.Actor = ActorPolicy }), 8, "by somebody who may not", "human:*", "policy"},
		"shadow that was":         {change(8, func(e *Entry) { e.Metadata["previous"] = "off" }), 8, "wrongly what it was", "on", "off"},
		"diagnosis":               {change(11, func(e *Entry) { e.Actor = "diagnosis:model" }), 11, "may not take this step", "policy", "diagnosis:model"},
		"unknown kind":            {change(6, func(e *Entry) { e.Kind = "incident.cured" }), 6, "kind that this program does not know", "", "incident.cured"},
		"unknown version":         {change(6, func(e *Entry) { e.V = 2 }), 6, "version", "1", "2"},
		"stage of another kind":   {change(5, func(e *Entry) { e.Stage = Validated }), 5, "not the one of the entry's kind", "PROPOSED", "VALIDATED"},
		"joined twice":            {change(4, func(e *Entry) { e.Metadata["key"] = "z_score" }), 4, "part of it already", "", "z_score"},
		"mark of none":            {change(26, func(e *Entry) { e.IncidentID = "inc-000000-1" }), 26, "does not have", "", "inc-000000-1"},
		"id of before":            {change(27, func(e *Entry) { e.IncidentID = "inc-000000-2" }), 27, "later than those before", "later than inc-", "inc-000000-2"},
		"nameless tenant":         {change(27, func(e *Entry) { e.TenantID = "" }), 27, "does not say whose it is", "tenant_id", ""},
		"without quorum":          {without(17), 18, "approval of inc-", "", "authorized with 1 of 2 approvals"},
		"asked for less":          {change(12, func(e *Entry) { e.about()["quorum"] = 1.0 }), 12, "not of what was proposed", "2 approvals, low risk", "1 approvals, low risk"},
		"asked at less risk":      {change(12, func(e *Entry) { e.about()["risk"] = "medium" }), 12, "not of what was proposed", "2 approvals, low risk", "2 approvals, medium risk"},
		"asked in another's name": {change(12, func(e *Entry) { e.about()["submitted_by"] = "human:ben" }), 12, "not in the name of who asked", "policy", "human:ben"},
		"asked in nobody's name":  {insert(12, requested), 13, "not in the name of who asked", "human:ben", "policy"},
		"requested by the policy": {insert(12, func(s []Entry) Entry { e := requested(s); e.Actor = ActorPolicy; return e }), 12, "may not take this step", "human:*", "policy"},
		"requested too late":      {insert(20, requested), 20, "asked for about inc-", "VALIDATED", "AUTHORIZED"},
		"requested in shadow":     {func(s []Entry) []Entry { return append(s[:11:11], shadowOn(s), requested(s)) }, 13, "asked for in shadow mode", "nothing that has an effect", KindRequested},
		"requested of nothing":    {insert(12, func(s []Entry) Entry { e := requested(s); e.ActionDigest = ""; return e }), 12, "not said which action", "metadata.proposal", ""},
		"requester alone": {func(s []Entry) []Entry {
			s = insert(12, requested)(s)
			for _, e := range s {
				if p, ok := e.Metadata["proposal"].(map[string]any); ok {
					p["risk"], p["approvals"] = "high", 1.0
				}
			}
			s[12].about()["risk"], s[12].about()["quorum"], s[12].about()["submitted_by"] = "high", 1.0, "human:ben"
			return s
		}, 18, "approval of inc-", "", "asked for an action of high risk, and nobody else approves it"},
		"asked out of turn": {insert(20, asking), 20, "out of turn", "VALIDATED", "AUTHORIZED"},
		"decided when withdrawn": {func(s []Entry) []Entry {
			on, off := shadowOn(s), s[7]
			on.Time, off.Time = s[17].Time, s[17].Time
			return append(append(s[:16:16], on, off), s[16:]...)
		}, 19, "of which nothing was asked", KindOf(Validated), KindApproved},
		"of another action":    {change(19, func(e *Entry) { e.ActionDigest = other }), 19, "approval of inc-", "", "something else is authorized"},
		"by another":           {change(19, func(e *Entry) { e.Actor = "human:eve" }), 19, "in the name of somebody else", "ana", "eve"},
		"by a stranger's link": {change(17, func(e *Entry) { e.about()["link_id"] = "x" }), 17, "approval of inc-", "", "without a link"},
		"by a late link":       {change(14, func(e *Entry) { e.about()["expires_at"] = e.about()["issued_at"] }), 14, "approval of inc-", "", "must be good for"},
		"nothing asked":        {change(12, func(e *Entry) { delete(e.Metadata, "approval") }), 13, "of which nothing was asked", KindOf(Validated), KindOffered},
		"asked of another":     {change(12, func(e *Entry) { e.ActionDigest = other }), 12, "something else is asked", restart.Digest(), other},
		"asked for ever":       {change(12, func(e *Entry) { delete(e.Metadata, "decide_by") }), 12, "until when", "metadata.decide_by", ""},
		"asked in shadow":      {insert(12, shadowOn), 13, "asked in shadow mode", "nothing that has an effect", "incident.validated"},
		"offered in shadow":    {insert(13, shadowOn), 14, "a link or an approval in shadow mode", "nothing that has an effect", KindOffered},
		"approved in shadow":   {insert(17, shadowOn), 18, "a link or an approval in shadow mode", "nothing that has an effect", KindApproved},
		"no step":              {change(17, func(e *Entry) { delete(e.Metadata, "approval") }), 17, "lacks what it has to say", "metadata.approval", ""},
		"expired too early":    {insert(17, expired), 17, "expired too early", "or later", "2026-"},
		"nobody was asked":     {func(s []Entry) []Entry { delete(s[11].Metadata, "approval"); return append(s[:12:12], s[18:]...) }, 13, "authorization without a question", KindOf(Validated), ""},
		"expired of nothing":   {func(s []Entry) []Entry { delete(s[11].Metadata, "approval"); return append(s[:12:12], expired(s)) }, 13, "EXPIRED, and nothing was asked", "", ""},
		"executed twice":       {insert(24, func(s []Entry) Entry { return s[19] }), 24, "execution without authorization", "RESOLVED", "EXECUTED"},
		"executed without key": {change(20, func(e *Entry) { delete(e.Metadata, "execution") }), 20, "lacks what it has to say", "metadata.execution", ""},
		"due twice":            {insert(22, func(s []Entry) Entry { return s[20] }), 22, "an execution is due that is not", KindOf(Executed), "inc-"},
		"due before executed":  {without(20), 20, "an execution is due that is not", KindOf(Executed), "inc-"},
		"due by another key":   {change(21, func(e *Entry) { e.Metadata["key"] = "x" }), 21, "an execution is due that is not", "", "x"},
		"receipt of no effect": {change(22, func(e *Entry) { e.Metadata["effect_indices"] = []any{9.0} }), 22, "an effect that was not due", KindEffectDue, "entry 9"},
		"receipt of nothing":   {change(22, func(e *Entry) { e.Metadata["effect_indices"] = []any{} }), 22, "lacks what it has to say", "metadata.effect_indices", ""},
		"receipt of a half":    {change(22, func(e *Entry) { e.Metadata["effect_indices"] = []any{15.5} }), 22, "lacks what it has to say", "metadata.effect_indices", ""},
		"receipt of another":   {change(23, func(e *Entry) { e.Metadata["key"] = "x" }), 23, "an execution that was not due", "", "x"},
		"two receipts":         {insert(24, func(s []Entry) Entry { return s[22] }), 24, "a second receipt", "one", "accepted"},
		"receipt of some kind": {change(23, func(e *Entry) { e.Metadata["outcome"] = "fine" }), 23, "does not say what became of it", "accepted", "fine"},
		"resolved by itself":   {change(24, func(e *Entry) { e.Actor = ActorExecutor }), 24, "may not take this step", "policy", "executor"},
		"revised too late":     {insert(13, revised), 13, "revised too late", "PROPOSED", "VALIDATED"},
		"cleared of nothing":   {insert(26, cleared), 26, "left nothing behind", "REJECTED", KindCleared},
		"another tenant's":     {change(6, func(e *Entry) { e.TenantID = "other" }), 6, "not open", "", ""},
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
	e.Kind, e.Time = KindShadowOn, s[15].Time
	e.Metadata = map[string]any{"previous": "off"}
	return e
}

// about is what an entry says of the approval.
func (e *Entry) about() map[string]any {
	m, _ := e.Metadata["approval"].(map[string]any)
	return m
}

func expired(s []Entry) Entry {
	e := s[11]
	e.Kind, e.Stage, e.Metadata = KindOf(Expired), Expired, map[string]any{}
	return e
}

func revised(s []Entry) Entry {
	e := s[10]
	e.Kind, e.Time = KindRevised, s[11].Time
	return e
}

func cleared(s []Entry) Entry {
	e := s[23]
	e.Kind = KindCleared
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
		if p := r.Problem; p != nil && (*p.Index != 27 || !strings.Contains(p.Text, "has no end") || p.Expected == "" || p.Found == "") {
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

// asking is a question of what was asked before.
func asking(s []Entry) Entry {
	e := s[11]
	e.Kind, e.Time = KindAsked, s[18].Time
	return e
}

// requested is what ben asks for before the validation of the story.
func requested(s []Entry) Entry {
	e := s[11]
	e.Kind, e.Actor, e.Evidence, e.ActionDigest = KindRequested, "human:ben", nil, restart.Digest()
	e.Metadata = map[string]any{"proposal": map[string]any{"action": "restart"}}
	return e
}
