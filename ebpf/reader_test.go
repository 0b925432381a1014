package ebpf

import (
	"testing"
	"time"
)

// What a connection is forgotten after: soon where nothing waits, and not before
// an hour where a request does.
func TestStale(t *testing.T) {
	const now = int64(100 * time.Hour)
	const ended = 64
	for name, c := range map[string]struct {
		idle     time.Duration
		waiting  uint32
		flags    uint8
		crowded  bool
		expected bool
	}{
		"idle":                          {idle: 14 * time.Minute},
		"idle for long":                 {idle: 16 * time.Minute, expected: true},
		"half closed":                   {idle: 50 * time.Second, flags: ended},
		"half closed for long":          {idle: 70 * time.Second, flags: ended, expected: true},
		"crowded":                       {idle: 9 * time.Second, crowded: true},
		"crowded, for long":             {idle: 11 * time.Second, crowded: true, expected: true},
		"a request waits":               {idle: 59 * time.Minute, waiting: 1, flags: ended, crowded: true},
		"a request has waited too long": {idle: 61 * time.Minute, waiting: 1, expected: true},
	} {
		connection := &bpfConnection{Last: uint64(now - int64(c.idle)), Head: 7, Tail: 7 + c.waiting}
		connection.Streams[0].Flags = c.flags
		if is := connection.stale(now, c.crowded); is != c.expected {
			t.Errorf("%s: stale %t", name, is)
		}
	}
}
