package strictyaml

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with a document, or with what overrides it.
type Problem struct {
	// Where says where it was given: FILE:LINE:COL, $VARIABLE or --flag.
	Where string
	// Text says what is wrong and how to mend it, in one line.
	Text string
}

func (p Problem) Error() string { return p.Where + ": " + p.Text }

// Summary is the first problem and the number of the others, in one line;
// see names the command that lists them all. There must be a problem.
func Summary(problems []Problem, see string) string {
	if len(problems) == 1 {
		return problems[0].Error()
	}
	return fmt.Sprintf("%s (and %d more: see %s)", problems[0].Error(), len(problems)-1, see)
}

// Lines returns the problems one to a line.
func Lines(problems []Problem) string {
	var b strings.Builder
	for _, one := range problems {
		b.WriteString(one.Error() + "\n")
	}
	return b.String()
}
