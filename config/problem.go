package config

import (
	"fmt"
	"strings"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	// Where says where it was given: FILE:LINE:COL, $VARIABLE or --flag.
	Where string
	// Text says what is wrong and how to mend it, in one line.
	Text string
}

func (p Problem) Error() string { return p.Where + ": " + p.Text }

// Problems is everything found wrong, in the order it was met. As an error
// it is the first problem and the number of the others, in one line.
type Problems []Problem

func (p Problems) Error() string {
	if len(p) == 1 {
		return p[0].Error()
	}
	return fmt.Sprintf("%s (and %d more: see countersign config lint)", p[0].Error(), len(p)-1)
}

// Lines returns the problems one to a line.
func (p Problems) Lines() string {
	var b strings.Builder
	for _, one := range p {
		b.WriteString(one.Error() + "\n")
	}
	return b.String()
}

// asError keeps an empty list from becoming a non-nil error.
func (p Problems) asError() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
