package histogram

import "sync"

const (
	// logLimit is how many records a shard keeps before the Lane that brings
	// the next has to count them itself. Run is woken at half of it.
	logLimit = 4096

	// A walk over the Lanes lets go of the lock after this many.
	walkStride = 256
)

// shard is a share of a Recorder's Lanes and what they recorded lately.
type shard struct {
	recorder *Recorder
	walking  sync.Mutex // one walk at a time; taken before mu

	mu    sync.Mutex // held briefly: for a few dozen words or walkStride Lanes
	lanes []*Lane
	walks uint32
	log   []record

	_ [64]byte // apart from the next shard's lock
}

func (s *shard) add(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.index = len(s.lanes)
	l.walk = s.walks
	s.lanes = append(s.lanes, l)
}

func (s *shard) remove(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain(l)
	last := len(s.lanes) - 1
	s.lanes[l.index] = s.lanes[last]
	s.lanes[l.index].index = l.index
	s.lanes[last] = nil
	s.lanes = s.lanes[:last]
	s.bound()
}

func (s *shard) flush(l *Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drain(l)
	s.bound()
}

func (s *shard) log1(e record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, e)
	s.bound()
}

// drain moves what ended on l to the log. The caller holds mu.
func (s *shard) drain(l *Lane) {
	for {
		e := l.oldest()
		if !e.ended() {
			return
		}
		s.log = append(s.log, e)
		l.tail++
	}
}

// bound keeps the log from growing without end. The caller holds mu.
func (s *shard) bound() {
	switch {
	case len(s.log) < logLimit/2:
	case len(s.log) < logLimit:
		s.recorder.wake()
	default:
		s.recorder.count(s.log)
		s.log = s.log[:0]
	}
}

// take empties the log into the caller's hands, leaving an empty one.
func (s *shard) take(empty []record) []record {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.log
	s.log = empty[:0]
	return taken
}

// walk drains every Lane and appends what is in flight to found. Lanes come and
// go between strides: one that closes is replaced by the last of the list, which
// was visited already, so a walk goes from the end and knows whom it has seen.
func (s *shard) walk(found []record) []record {
	s.walking.Lock()
	defer s.walking.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.walks++
	for i, left := len(s.lanes)-1, walkStride; i >= 0; i-- {
		if left--; left == 0 {
			left = walkStride
			s.bound()
			s.mu.Unlock()
			s.mu.Lock()
			if i = min(i, len(s.lanes)-1); i < 0 {
				break
			}
		}
		l := s.lanes[i]
		if l.walk == s.walks {
			continue
		}
		l.walk = s.walks
		s.drain(l)
		if e := l.oldest(); e.kind() != kindNone {
			found = append(found, e)
		}
	}
	s.bound()
	return found
}
