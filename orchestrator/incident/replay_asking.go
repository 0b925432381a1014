package incident

import (
	"github.com/countersign-dev/countersign/orchestrator/approval"
	"github.com/countersign-dev/countersign/orchestrator/recovery"
)

// approval applies the step of approval that an entry is, and returns the question.
func (s *replay) approval(asked *approval.Request) *approval.Request {
	tap, ok, err := s.entry.approval()
	if ok && tap.Kind == approval.StepAsked {
		asked = followUp(asked)
	}
	if ok {
		err = asked.Apply(tap)
	}
	if err != nil {
		s.differs("approval", s.entry.Kind, err.Error())
	}
	return asked
}

// action compares an action and its request with the digests that stand for them.
func (s *replay) action() {
	compare := func(file, field, recorded string) {
		if data, ok := s.blob(file); ok && digestOf(data) != recorded {
			s.differs(field, recorded, digestOf(data))
		}
	}
	switch s.entry.Kind {
	case KindOf(Executed):
		x := s.entry.execution()
		compare(RequestFile, "request_digest", x.RequestDigest)
		if key := recovery.Key(s.entry.IncidentID, s.entry.ActionDigest); key != x.Key {
			s.differs("key", x.Key, key)
		}
	case KindOf(Proposed), KindRevised, KindRequested, KindAsked:
		if s.entry.proposal() == nil {
			return
		}
	default:
		return
	}
	compare(ActionFile, "action_digest", s.entry.ActionDigest)
}
