package config

import "github.com/countersign-dev/countersign/strictyaml"

// Problem is one thing wrong with the configuration.
type Problem = strictyaml.Problem

// Problems is everything found wrong, in the order it was met. As an error
// it is the first problem and the number of the others, in one line.
type Problems []Problem

func (p Problems) Error() string { return strictyaml.Summary(p, "countersign config lint") }

// Lines returns the problems one to a line.
func (p Problems) Lines() string { return strictyaml.Lines(p) }

// asError keeps an empty list from becoming a non-nil error.
func (p Problems) asError() error {
	if len(p) == 0 {
		return nil
	}
	return p
}
