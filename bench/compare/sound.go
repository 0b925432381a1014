package main

import (
	"errors"
	"fmt"

	"github.com/countersign-dev/countersign/bench/peer"
)

// tolerated is the part of a peer's requests that may fail: with more, what it is fast at is refusing.
const tolerated = 0.001

// sound says why the figures of a report cannot be relied on: what was given up, who failed, and what was not seen
// that must be there.
func sound(r *Report) (err error) {
	fault := func(format string, args ...any) { err = errors.Join(err, fmt.Errorf(format, args...)) }
	for i := range r.Scenarios {
		s := &r.Scenarios[i]
		if s.Broken != "" {
			fault("%s was given up: %s", s.Name, s.Broken)
		}
		for _, p := range s.Peers {
			if failed := float64(p.Failed); failed > tolerated*float64(p.Done+p.Failed) {
				fault("%s, %s: %d of %d requests failed: %v", s.Name, p.Name, p.Failed, p.Done+p.Failed, p.Errors)
			}
			if rounds := len(p.Figures[answersPerSecond]); rounds != s.Rounds {
				fault("%s, %s: there are figures of %d rounds, of %d", s.Name, p.Name, rounds, s.Rounds)
			}
			if p.Name == peer.Direct || p.Name == peer.Probe {
				continue // no process of theirs is in the way of requests
			}
			if p.median(cpu) <= 0 || p.Memory.Proportional == 0 {
				fault("%s, %s: it used no processor or no memory, so it was not what was measured", s.Name, p.Name)
			}
			// A proxy reads and writes on both sides of itself, though several requests may come by one call.
			if p.Syscalls != 0 && p.Syscalls < 2 {
				fault("%s, %s: %.1f system calls a request are too few for a proxy", s.Name, p.Name, p.Syscalls)
			}
		}
	}
	return err
}
