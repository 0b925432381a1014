package verify

import (
	"context"
	"sync"
)

const (
	memoryBudget  = 40 << 20 // bytes of entry bundles in memory at a time
	firstExpected = 1 << 20  // bytes that an entry bundle is expected to have, until some are known
)

// A budget bounds the bytes of entry bundles that are in memory at a time: read,
// or waiting for those before them. Only one goroutine takes, in the order of the
// log, so that the bundle that all others wait for always has its part.
type budget struct {
	mu       sync.Mutex
	free     int64
	expected int64         // twice what the largest bundle so far has
	freed    chan struct{} // something was given back
}

func newBudget(bytes int64) *budget {
	return &budget{free: bytes, expected: firstExpected, freed: make(chan struct{}, 1)}
}

// take waits until there is room for an entry bundle of what is expected, but no
// more than most bytes, which is how much is taken. It is 0 when ctx ends.
func (b *budget) take(ctx context.Context, most int64) int64 {
	for ctx.Err() == nil {
		b.mu.Lock()
		n := min(b.expected, most)
		if b.free >= n {
			b.free -= n
			b.mu.Unlock()
			return n
		}
		b.mu.Unlock()
		select {
		case <-b.freed:
		case <-ctx.Done():
		}
	}
	return 0
}

// give gives back n bytes.
func (b *budget) give(n int64) {
	b.mu.Lock()
	b.free += n
	b.mu.Unlock()
	select {
	case b.freed <- struct{}{}:
	default:
	}
}

// learn notes how long a bundle was.
func (b *budget) learn(length int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expected = max(b.expected, min(2*length, MaxEntries))
}
