package diagnosis

// Answer is what a diagnoser concludes.
type Answer struct {
	Cause Cause `json:"cause"`
	// Hypothesis says in plain words what is thought to have happened.
	Hypothesis string `json:"hypothesis"`
	// Facts are the ids of the facts that it rests on.
	Facts []string `json:"facts"`
	// CheckFirst is what to look at first.
	CheckFirst string `json:"check_first"`
	// Action is the name of an action of the catalogue that is suggested, empty
	// when none is. It is text for people: nothing proposes an action by it.
	Action string `json:"action,omitempty"`
	// Confidence is between 0 and 1. That of the rules is the share of the
	// corpus's incidents, of those of which they spoke so, that had this cause.
	Confidence float64 `json:"confidence"`
	// Findings are the single steps of the rules, each with the facts it rests on.
	Findings []Finding `json:"findings,omitempty"`
	// Others were considered too, the likeliest first.
	Others []Candidate `json:"others,omitempty"`
}

// Finding is one thing that was noticed.
type Finding struct {
	Text  string   `json:"text"`
	Facts []string `json:"facts"`
}

// Candidate is a cause that was considered.
type Candidate struct {
	Cause Cause `json:"cause"`
	// Strength is how much speaks for it, 0 to 1; it is no probability.
	Strength float64 `json:"strength"`
}

// Abstained says that no cause is named.
func (a *Answer) Abstained() bool { return a == nil || a.Cause == Unknown || a.Cause == "" }

// MinConfidence is below what a diagnosis is not told.
const MinConfidence = 0.6
