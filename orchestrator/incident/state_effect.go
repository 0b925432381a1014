package incident

import (
	"fmt"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

func (s *State) foldTarget(e Entry) error {
	name := e.text("target")
	t, ok := s.Targets[name]
	if !ok && len(s.Targets) >= maxTargets {
		return &IllegalError{"there are too many targets", fmt.Sprintf("at most %d", maxTargets), name}
	}
	switch e.Kind {
	case KindTargetDown:
		t.State, t.LastStateChangeAt = policy.Down, e.Time
	case KindTargetUp:
		t.State, t.LastStateChangeAt = policy.Up, e.Time
	case KindTargetFlapping:
		t.Flapping = true
	case KindTargetSteady:
		t.Flapping = false
	}
	s.Targets[name] = t
	return nil
}

func (s *State) foldEffect(index uint64, e Entry) error {
	if e.IncidentID != "" {
		if err := s.requireIncident(e); err != nil {
			return err
		}
	}
	switch {
	case s.Shadow && e.Kind == KindEffectDue:
		return &IllegalError{"an effect in shadow mode", KindEffectSuppressed, e.Kind}
	case !s.Shadow && e.Kind == KindEffectSuppressed:
		return &IllegalError{"an effect is suppressed by a shadow mode that is off", KindEffectDue, e.Kind}
	}
	if e.Kind == KindEffectDue {
		if err := s.foldDue(index, e); err != nil {
			return err
		}
	}
	if e.Kind == KindEffectDue && s.Open != nil && s.Open.ID == e.IncidentID && e.text("event") == EventValidated {
		open := *s.Open
		open.Told = true
		s.Open = &open
	}
	s.alerted(e.text("target"), e.Time)
	names, _ := e.Metadata["targets"].([]any)
	for _, item := range names {
		name, _ := item.(string)
		s.alerted(name, e.Time)
	}
	return nil
}

// alerted notes that an effect told of a target.
func (s *State) alerted(name string, at time.Time) {
	if t, ok := s.Targets[name]; ok {
		t.LastAlertedAt = at
		s.Targets[name] = t
	}
}
