package verify

import "github.com/countersign-dev/countersign/ledger/witness"

// Options say what to trust and what to ask for. The zero value trusts the key
// that the log names itself.
type Options struct {
	Keys  []string // trusted verifier keys (the log's first or any later one); none: those of Policy, else the log's own
	Since [][]byte // checkpoints kept earlier, signed notes

	// Anchor is the checkpoint that the log's own store keeps beside it. It is not
	// independent of the store, so it does not raise the tier.
	Anchor        []byte
	RequireAnchor bool // without Anchor the verdict is AnchorAbsent

	// Policy names witnesses, and may name logs, whose keys are trusted when Keys
	// gives none. When its quorum has cosigned, the tier is Witnessed; a policy
	// whose quorum is none never makes it so.
	Policy         *witness.Policy
	RequireWitness bool // without the quorum of Policy the verdict is AnchorAbsent

	Checks   []Check                  // further rules for the entries
	Progress func(done, total uint64) // told how many entries are done, from one goroutine
	Workers  int                      // goroutines that read and check; when 0 GOMAXPROCS, of an HTTP source at least 8
}

// A Check is a rule over all entries of a log, of an application for instance.
// It is told every entry in order once the entry is known to be what the
// checkpoint signs, and the end. Its first error makes the verdict Invalid; it
// is not called again after that. The error may be a *RuleError. It must not keep
// leaf, and it need not be safe for concurrent use.
type Check interface {
	Entry(index uint64, leaf []byte) error
	End() error
}

// A RuleError is a Check's error with the parts that a report keeps apart.
type RuleError struct {
	Index    *uint64 // of the entry, when it is another than the present one
	Text     string
	Expected string
	Found    string
}

func (e *RuleError) Error() string { return e.Text }
