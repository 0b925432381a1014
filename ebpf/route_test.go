package ebpf

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/histogram"
)

var targets = []string{
	"/", "*", "/users", "/users/", "/users/1", "/users/42", "/users/4711?page=2", "/users/me", "/users/42/orders/9f1c2d3e", "/users/7/orders/0a1b2c3d4e",
	"/v1/users", "/v2/users", "/api-1/x", "/api-2/x", "/v-1", "/v-2", "/order-17", "/order-18", "/order_19", "/a1-2", "/a1-3", "/ab-1c", "/ab-2c",
	"/550e8400-e29b-41d4-a716-446655440000", "/123e4567-e89b-12d3-a456-426614174000", "/550e8400-e29b-41d4-a716-44665544000g",
	"/deadbeef", "/deadbee1", "/deadbee2", "/DEADBEE3", "/feedface/x", "/1.1", "/1.2", "/2026-11-21", "/2026-11-22/report.pdf", "/img/42.png", "/img/43.png",
	"/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/01BX5ZZKBKACTAV9WEVGEMMVRZ", "/cus_NffrFeUfNV2Hib", "/cus_OaBcDeFgHi3jKl", "/aGVsbG8gd29ybGQgMTIzNDU2", "/aGVsbG8gd29ybGQgOTg3NjU0",
	"/internationalization1", "/internationalization2", "/a%20b", "/a%20c", "/x;v=1/y", "/x;v=2/y", "/Products(1)", "/Products(2)",
	"http://api.example/users/9", "http://api.example/users/10?x", "/" + strings.Repeat("a", 65), "/" + strings.Repeat("b", 65), "/" + strings.Repeat("word/", 20),
	"/aaaaaaaa", "/aaaaaaab", "/0x1f", "/0x2f", "/20261121T103000Z", "/20261122T103000Z", "/1/2/3", "/4/5/6", "//1//2", "/-1", "/-2", "/1-", "/_1", "/a-", "/a--1", "/a--2",
	"/order-", "/order-1x", "/abc-def-1", "/abc-def-2", "/vendor-1", "/vendor-2", "/~1", "/ü1", "/" + strings.Repeat("1", 64), "/" + strings.Repeat("2", 65),
}

// The routes that the kernel counts by are those of Recorder.Route, which it
// asks about the first path of each kind only.
func TestRoutes(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	ask := func() map[string]uint64 {
		expected := make(map[string]uint64)
		for _, method := range []string{"GET", "POST", "HEAD", "M-SEARCH"} {
			for _, target := range targets {
				w.say(client, method+" "+target+" HTTP/1.1\r\n\r\n")
				w.say(server, "HTTP/1.1 204 No Content\r\n\r\n")
			}
			b.reads() // so that no more are new at once than the kernel has room for
		}
		oracle, err := histogram.NewRecorder(histogram.Config{MaxRoutes: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "POST", "HEAD", "M-SEARCH"} {
			for _, target := range targets {
				expected[oracle.RouteName(oracle.Route([]byte(method), []byte(target)))]++
			}
		}
		return expected
	}
	before := make(map[string]uint64)
	for range 3 { // new paths first, known ones later
		expected := ask()
		for _, r := range b.recorder.Totals().Routes {
			got := r.Outcomes[histogram.Success]
			if got-before[r.Name] != expected[r.Name] {
				t.Errorf("%s: %d requests, want %d", r.Name, got-before[r.Name], expected[r.Name])
			}
			before[r.Name] = got
			delete(expected, r.Name)
		}
		if len(expected) > 0 {
			t.Errorf("not counted: %v", expected)
		}
	}
	if stats := b.reader.stats(); stats.PathsOther != 0 || stats.Paths > uint64(4*len(targets)) {
		t.Errorf("%+v", stats)
	}
}

// reads is a reading whose second is sealed.
func (b *bench) reads() { _, _ = b.read() }

// Identifiers in any number make no path new; other paths do so only as many as
// there is room for, and a request of one too many is counted as other.
func TestPathsAreBounded(t *testing.T) {
	b := newBench(t, 0)
	w := b.dial()
	say := func(path string) {
		w.say(client, "GET "+path+" HTTP/1.1\r\n\r\n")
		w.say(server, "HTTP/1.1 204 No Content\r\n\r\n")
	}
	for i := range 2000 {
		say(fmt.Sprintf("/users/%d/orders/%08x1", i, i*7919))
	}
	b.reads()
	if stats := b.reader.stats(); stats.Paths != 1 || stats.PathsOther != 0 {
		t.Errorf("%+v", stats)
	}
	word := func(i int) string {
		return string([]byte{'/', byte('g' + i%19), byte('g' + i/19%19), byte('g' + i/19/19)})
	}
	for i := range 300 {
		say(word(i))
	}
	b.reads()
	stats := b.reader.stats()
	if stats.Paths != 257 || stats.PathsOther != 44 {
		t.Errorf("%+v", stats)
	}
	routes := b.recorder.Snapshot().Routes
	other := slices.IndexFunc(routes, func(r histogram.RouteSeries) bool { return r.Route == 0 })
	// 200 routes have names, of which the users have one.
	if other < 0 || routes[other].Requests() != 300-199 {
		t.Errorf("%d routes, other at %d", len(routes), other)
	}
	for i := range 600 { // there is room again, and the ring goes round
		say(word(i))
		if i%200 == 199 {
			b.reads()
		}
	}
	if stats := b.reader.stats(); stats.PathsOther != 44 || stats.Paths != 257+344 {
		t.Errorf("%+v", stats)
	}
}

// A request that takes longer than its path's name is new has its route still.
func TestNameOfALongRequest(t *testing.T) {
	b := newBench(t, 0)
	long := b.dial()
	long.say(client, "GET /long HTTP/1.1\r\n\r\n")
	b.reads()
	b.reads()
	long.say(server, answer)
	b.reads()
	if routes := b.recorder.SnapshotLast(1e9).Routes; len(routes) != 1 || routes[0].Name != "GET /long" {
		t.Errorf("%+v", routes)
	}
}
