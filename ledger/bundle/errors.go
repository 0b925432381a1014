package bundle

import (
	"fmt"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// RollbackError says that the log does not continue what the bundle holds.
// The bundle was left as it is: it is the evidence.
type RollbackError struct {
	Bundle   string // the directory or archive
	Old, New uint64 // entries in the bundle, and in the log
	Problem  string
}

func (e *RollbackError) Error() string {
	return fmt.Sprintf("the log, of %d entries, does not continue the %d entries in %s: %s; the bundle was left as it is, keep it as evidence",
		e.New, e.Old, e.Bundle, e.Problem)
}

// VerifyError says that the log, or what a bundle held before, did not verify.
// The bundle was left as it is.
type VerifyError struct {
	Report *verify.Report
	Bundle string // set when what is wrong is a file that was in the bundle before
}

func (e *VerifyError) Error() string {
	where := "the log was not exported, because it does not verify"
	if e.Bundle != "" {
		where = fmt.Sprintf("a file in %s was altered since it was exported; to fetch it anew, remove it and export again", e.Bundle)
	}
	p := e.Report.Problem
	if p == nil {
		return fmt.Sprintf("%s: %s", where, e.Report.Verdict)
	}
	if p.Resource != "" {
		return fmt.Sprintf("%s: %s: %s: %s", where, e.Report.Verdict, p.Resource, p.Text)
	}
	return fmt.Sprintf("%s: %s: %s", where, e.Report.Verdict, p.Text)
}
