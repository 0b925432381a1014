package incident

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// FuzzEntries reads leaves, one a line, and folds those that are ours: what is
// taken can be written and read again, what is refused changes nothing, and
// there is no effect in shadow.
func FuzzEntries(f *testing.F) {
	s := newScene(f)
	var leaves []byte
	s.step(s.breached("z_score", "consecutive_failures:db"))
	s.switchShadow(false)
	s.step(s.breached("z_score", "burn_rate"))
	s.step(s.recovered())
	q := asked(f, restart)
	q.tap("ben", true)
	q.tap("ana", true)
	q.carry()
	q.receive(recovery.Unknown)
	for _, e := range append(s.entries, q.entries...) {
		leaf, err := e.Entry.Leaf()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(leaf)
		leaves = append(append(leaves, leaf...), '\n')
	}
	f.Add(leaves)
	f.Add([]byte(`{"v":1,"kind":"sidecar.started","time":"2026-01-02T03:04:05Z"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state := NewState(tenant)
		for i, leaf := range bytes.Split(data, []byte("\n")) {
			e, ours, err := ParseEntry(leaf)
			if !ours || err != nil {
				continue
			}
			if again, err := e.Leaf(); err == nil {
				same, ours, err := ParseEntry(again)
				if err != nil || !ours {
					t.Fatalf("%s is read, written as %s, and not read: %v", leaf, again, err)
				}
				if twice, err := same.Leaf(); err != nil || !bytes.Equal(twice, again) {
					t.Fatalf("%s becomes %s, %v", again, twice, err)
				}
			}
			before := state.Clone()
			runs := len(state.Runs)
			if err := state.Apply(uint64(i), e); err != nil {
				if !reflect.DeepEqual(before, state) {
					t.Fatalf("%s is refused with %v and changes the state", leaf, err)
				}
				continue
			}
			if before.Shadow && (e.Kind == KindEffectDue || e.Kind == KindOf(Authorized) || e.Kind == KindOf(Executed)) {
				t.Fatalf("%s is taken in shadow", leaf)
			}
			if len(state.Runs) > runs && (before.Open == nil || before.Open.Stage != Authorized) {
				t.Fatalf("%s runs what was not authorized", leaf)
			}
			if before.Open != nil && e.Kind == KindOf(Detected) {
				t.Fatalf("%s opens a second incident", leaf)
			}
			if _, err := json.Marshal(state.Open); err != nil {
				t.Fatal(err)
			}
		}
	})
}
