package outbox

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
)

func TestWhateverHappens(t *testing.T) {
	seeds := 8
	if testing.Short() {
		seeds = 3
	}
	heard, twice, lives, dead, resent := 0, 0, 0, 0, 0
	for seed := range seeds {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			w := &world{
				t: t, path: filepath.Join(dir, "outbox.sent"), rng: rand.New(rand.NewPCG(uint64(seed), 1)),
				shadow: map[string]bool{}, heard: map[key]int{}, inAir: map[key]bool{}, excused: map[key]bool{},
				letters: map[key]deliveryID{}, stage: map[string]incident.Stage{}, incident: map[string]string{},
			}
			w.run()
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
			lives += w.lives
			for k, n := range w.heard {
				heard++
				if n > 1 {
					twice++
				}
				if k.resent > 0 {
					resent++
				}
			}
			for _, e := range w.entries {
				if r, ok := ReceiptOf(e.Entry); ok && r.Outcome == Dead {
					dead++
				}
			}
		})
	}
	t.Logf("%d lives, %d messages heard, %d of them twice, %d ordered again, %d dead letters", lives, heard, twice, resent, dead)
	if twice == 0 || dead == 0 || resent == 0 || lives < 2*seeds {
		t.Error("the test does not reach what it is about")
	}
}

func (w *world) run() {
	for _, tenant := range []string{acme, "beta"} {
		e := entry(incident.KindShadowOff, began)
		e.TenantID = tenant
		w.append(e)
	}
	l := w.start()
	for range 80 {
		time.Sleep(time.Duration(w.draw(100)) * time.Second)
		w.happen([]string{acme, "beta"}[w.draw(2)])
		l.box.Wake()
		if items := l.box.List(); len(items) > 0 && w.draw(3) == 0 {
			if last := items[len(items)-1]; last.Condition == Given {
				// It may fail like everything else.
				_ = l.box.Retry(context.Background(), last.ID, "ana")
			}
		}
		select {
		case <-l.done:
			w.lose()
			l = w.start()
		default:
		}
	}
	w.mu.Lock()
	w.calm = true
	w.mu.Unlock()
	l.cancel()
	<-l.done
	l = w.start()
	time.Sleep(3 * time.Hour)
	l.cancel()
	<-l.done
	w.check(l)
}

// draw is a number below n.
func (w *world) draw(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// check compares what was due with what people heard and what the ledger says.
func (w *world) check(l *life) {
	for k, n := range w.heard {
		if most := 1 + count(w.excused[k]); n > most {
			w.t.Errorf("%v (%+v) was heard %d times, at most %d are excused", k, w.letters[k], n, most)
		}
	}
	ends := map[key]Outcome{}
	settled := map[uint64]bool{}
	for _, e := range w.entries {
		r, ok := ReceiptOf(e.Entry)
		if !ok || r.Outcome == Requeued {
			continue
		}
		ends[r.key()] = r.Outcome
		if r.Outcome == Delivered && w.heard[r.key()] == 0 {
			w.t.Errorf("%v has a receipt, and nobody heard it", r.key())
		}
		if r.Outcome != Delivered && r.Reason == "" {
			w.t.Errorf("%v is %s without a reason", r.key(), r.Outcome)
		}
		for _, effect := range r.Effects {
			settled[effect] = settled[effect] || r.Settles
		}
	}
	for k := range w.heard {
		if ends[k] == "" && !w.excused[k] {
			w.t.Errorf("%v (%+v) was heard, and has no receipt", k, w.letters[k])
		}
	}
	state := NewState()
	for _, e := range w.entries {
		state.Apply(e.Index, e.Entry)
		if e.Entry.Kind == incident.KindEffectDue && !settled[e.Index] {
			w.t.Errorf("effect %d is not settled", e.Index)
		}
		if e.Entry.Kind == incident.KindEffectDue {
			w.checkTold(state, e.Index, ends)
		}
	}
	for _, i := range l.box.List() {
		if i.Condition != Given {
			w.t.Errorf("at the end %s is %s: %+v", i.ID, i.Condition, i)
		}
	}
}

// checkTold looks that everybody was told of an effect, whose letter state has just
// taken in, unless it was withdrawn.
func (w *world) checkTold(state *State, index uint64, ends map[key]Outcome) {
	letter := state.letters[len(state.letters)-1]
	if next := int(index) + 1; next < len(w.entries) {
		if both, ok := letterOf(index+1, w.entries[next].Entry); ok && letter.takes(both) {
			return // the next effect tells of both
		}
	}
	if ends[key{letter.id("", First), 0}] == Withdrawn {
		for _, e := range w.entries[index:] {
			switch {
			case e.Entry.TenantID != letter.Tenant:
			case e.Entry.Kind == incident.KindShadowOn:
				return
			case letter.Asks && e.Index > index && e.Entry.Kind == incident.KindEffectDue && e.Entry.Metadata["effect"] == incident.ApprovalLink:
				return // people were asked about something else since
			}
		}
		w.t.Errorf("effect %d was withdrawn without a reason", index)
	}
	for _, d := range firsts(letter, people, false) {
		if ends[d.key()] == "" {
			w.t.Errorf("%s was never told of effect %d, nor was it given up", d.contact, index)
		}
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}
