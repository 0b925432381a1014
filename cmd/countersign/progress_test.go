package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// shown runs a piece of work that takes so many steps of d, and returns what
// is shown of it.
func shown(terminal bool, steps uint64, d time.Duration) string {
	var out bytes.Buffer
	now := time.Unix(1700000000, 0)
	p := &progress{w: &out, terminal: terminal, now: func() time.Time { return now }, label: "counting", amount: entryCount}
	for i := range steps + 1 {
		p.update(i, steps)
		now = now.Add(d)
	}
	p.end()
	return out.String()
}

func TestProgressInLines(t *testing.T) {
	if got := shown(false, 1000, 4*time.Millisecond); got != "" {
		t.Errorf("work of four seconds shows %q", got)
	}
	got := shown(false, 1000, 20*time.Millisecond) // 20 s
	want := "counting: 25 %, 250 of 1,000, 15s left\ncounting: 50 %, 500 of 1,000, 10s left\ncounting: 75 %, 750 of 1,000, 5s left\ncounting: 100 %, 1,000 of 1,000\n"
	if got := strings.ReplaceAll(got, " entries", ""); got != want {
		t.Errorf("work of 20 seconds shows\n%s", got)
	}
	if got := shown(false, 1000, 200*time.Millisecond); strings.Count(got, "\n") != 10 { // 200 s
		t.Errorf("work of 200 seconds shows\n%s", got)
	}
	if got := shown(false, 1000, 3600*time.Millisecond); strings.Count(got, "\n") != 59 { // an hour
		t.Errorf("work of an hour shows %d lines", strings.Count(got, "\n"))
	}
}

func TestProgressAsABar(t *testing.T) {
	if got := shown(true, 1000, time.Millisecond/2); got != "" {
		t.Errorf("work of half a second shows %q", got)
	}
	got := shown(true, 1000, 2*time.Millisecond)
	frames := strings.Split(strings.TrimPrefix(got, "\r\x1b[K"), "\r\x1b[K")
	if len(frames) != 12 || frames[0] != "counting [###############...............]  50 %  500 entries of 1,000 entries, 1s left" || frames[11] != "" {
		t.Errorf("shown: %d, %q", len(frames), frames)
	}
	for _, frame := range frames {
		if len(frame) > 100 || strings.Contains(frame, "\n") {
			t.Errorf("a line of %d characters: %q", len(frame), frame)
		}
	}
}

func TestProgressOfNothing(t *testing.T) {
	if got := shown(true, 0, time.Hour); got != "" {
		t.Errorf("shown: %q", got)
	}
	c, _, stderr := captured(t, ledgerExportCommand(), "--quiet")
	p := newProgress(c, "counting", entryCount)
	p.now = func() time.Time { return time.Unix(1700000000, 0) }
	p.update(1, 2)
	p.now = func() time.Time { return time.Unix(1800000000, 0) }
	p.update(2, 2)
	if p.end(); stderr.Len() > 0 {
		t.Errorf("--quiet shows %q", stderr)
	}
}

func TestAmounts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1536: "1.5 KiB", 3 << 20: "3.0 MiB", 5 << 30: "5.0 GiB"} {
		if got := byteCount(n); got != want {
			t.Errorf("%d: %q", n, got)
		}
	}
	if entryCount(1) != "1 entry" || entryCount(0) != "0 entries" || entryCount(999) != "999 entries" || entryCount(1234567) != "1,234,567 entries" {
		t.Error("entries are miscounted")
	}
}
