package ebpf

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/countersign-dev/countersign/histogram"
)

// somebody is the key of pages that nothing is counted in.
const somebody = 1<<63 | 7<<24 | 33*1024/16 - 1

// Pages are given back when more than half have an owner, and not before; when
// all have, what ends is map_full.
func TestPagesAreGivenBack(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	ask := func() {
		w.say(client, get)
		w.say(server, answer)
	}
	owners := b.counts().owners
	for i := range len(owners) / 4 {
		owners[i] = somebody
	}
	ask()
	for range 3 {
		b.reads()
	}
	if p := b.reader.pages; p.taken <= len(owners)/4 || p.crowded {
		t.Errorf("%d pages taken, want all of them; crowded %t", p.taken, p.crowded)
	}
	for i := range owners {
		owners[i] = somebody
	}
	ask()
	b.expect("no page is free", want{unmeasured: map[histogram.Reason]uint64{histogram.MapFull: 1}})
	if p := b.reader.pages; p.taken != 0 || !p.crowded {
		t.Errorf("%d pages were not given back; crowded %t", p.taken, p.crowded)
	}
	ask()
	b.expect("pages are free again", want{outcomes: [4]uint64{1}})
}

// The pages are left alone from the third reading on before which no packet
// came, and looked at again after the next.
func TestPagesRestWithTheTraffic(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	ask := func() {
		w.say(client, get)
		w.say(server, answer)
	}
	ask()
	owners := b.counts().owners
	for range 3 {
		b.reads()
	}
	for i := range owners {
		owners[i] = somebody
	}
	b.reads()
	if n := b.reader.pages.taken; n != 1 {
		t.Errorf("%d pages taken, want the one of the request", n)
	}
	ask()
	b.reads()
	if n := b.reader.pages.taken; n != 0 {
		t.Errorf("%d pages taken, want none: all were, and given back", n)
	}
}

// Nothing is lost, and nothing is counted twice or as something else, while
// pages are given back as fast as they can be.
func TestNothingIsLostWhenPagesAreGivenBack(t *testing.T) {
	b := newBench(t, 0)
	const workers, packets, together = 4, 2000, 16
	const all = workers * packets * together
	var asking sync.WaitGroup
	var left atomic.Int32
	left.Store(workers)
	for range workers {
		w := b.dial()
		asking.Go(func() {
			defer left.Add(-1)
			for range packets {
				w.say(client, strings.Repeat(get, together))
				w.say(server, strings.Repeat(answer, together))
			}
		})
	}
	b.reader.pages.room = 0
	for left.Load() > 0 {
		if err := b.reader.read(); err != nil {
			t.Error(err)
			break
		}
	}
	asking.Wait()
	stats, s := b.read()
	if stats.Seen != all || stats.Measured != all || s.Overall.Requests() != all || s.Overall.TTFB.Total() != all {
		t.Errorf("%+v; the recorder has %d, of %d", stats, s.Overall.Requests(), all)
	}
	for _, r := range s.Routes {
		if r.Name != "GET /users/{id}" {
			t.Errorf("%d requests of %s", r.Requests(), r.Name)
		}
	}
}
