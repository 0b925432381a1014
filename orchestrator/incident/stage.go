package incident

import "slices"

// Stage is where an incident stands.
type Stage string

// The stages.
const (
	Detected   Stage = "DETECTED"
	Proposed   Stage = "PROPOSED"
	Validated  Stage = "VALIDATED"
	Authorized Stage = "AUTHORIZED"
	Executed   Stage = "EXECUTED"
	Resolved   Stage = "RESOLVED"
	Recovered  Stage = "RECOVERED"
	Rejected   Stage = "REJECTED"
	Expired    Stage = "EXPIRED"
	Failed     Stage = "FAILED"
)

// next are the legal transitions. The stage before the first is the empty one.
var next = map[Stage][]Stage{
	"":         {Detected},
	Detected:   {Proposed, Recovered},
	Proposed:   {Validated, Recovered},
	Validated:  {Authorized, Rejected, Expired, Recovered},
	Authorized: {Executed, Expired, Recovered},
	Executed:   {Resolved, Failed, Recovered},
}

// Next returns the stages that may follow s, none when s is terminal. The
// empty stage is that of an incident which is not there yet.
func (s Stage) Next() []Stage { return slices.Clone(next[s]) }

// May says whether an incident may go from s to the stage to.
func (s Stage) May(to Stage) bool { return slices.Contains(next[s], to) }

// Terminal says whether s is one of the stages that an incident ends in.
func (s Stage) Terminal() bool {
	switch s {
	case Resolved, Recovered, Rejected, Expired, Failed:
		return true
	}
	return false
}

// known says whether s is a stage at all.
func (s Stage) known() bool { return s.Terminal() || s != "" && len(next[s]) > 0 }
