package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestGuideFitsASmallTerminal has what to do next within the last lines of a
// terminal of 80 by 24.
func TestGuideFitsASmallTerminal(t *testing.T) {
	g := &guide{
		Binary: "bin/countersign", API: "127.0.0.1:54321", Knobs: "127.0.0.1:8081", Inbox: "127.0.0.1:8082",
		Listen: "127.0.0.1:8080", Admin: "127.0.0.1:9090", Data: "/tmp/countersign-demo-1234567890", Forget: true, Rate: 50,
	}
	for live, first := range map[bool]string{true: "The whole loop", false: "The demo is in shadow mode"} {
		g.Live = live
		var b strings.Builder
		if err := g.print(&b); err != nil {
			t.Fatal(err)
		}
		for line := range strings.SplitSeq(b.String(), "\n") {
			if utf8.RuneCountInString(line) > 80 {
				t.Errorf("longer than 80 columns: %s", line)
			}
		}
		if _, next, ok := strings.Cut(b.String(), first); !ok || strings.Count(next, "\n") > 23 {
			t.Errorf("live %v: %q is not within the last 23 lines:\n%s", live, first, b.String())
		}
	}
}
