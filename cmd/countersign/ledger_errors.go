package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/view"
)

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

func (e exitError) Error() string { return e.err.Error() }
func (e exitError) Unwrap() error { return e.err }

// codesHelp is said of every command that has these codes.
const codesHelp = "exit 0 done, 1 tampered, 2 usage, 3 the log is incomplete or cannot be reached, 4 rollback, 5 invalid, 7 not finished"

// withCodes gives the errors of commands, which have no code yet, that of what
// says nothing of the log: 1 is for tampering alone.
func withCodes(commands []*cli.Command) []*cli.Command {
	for _, cmd := range commands {
		withCodes(cmd.Subcommands)
		action := cmd.Action
		if action == nil {
			continue
		}
		cmd.Action = func(c *cli.Context) error {
			err := action(c)
			_, usage := errors.AsType[usageError](err)
			_, coded := errors.AsType[exitError](err)
			if err == nil || usage || coded {
				return err
			}
			return exitError{int(verify.Internal), err}
		}
	}
	return commands
}

// fetchError is an error of a source, and not of what it holds.
type fetchError struct{ err error }

func (e fetchError) Error() string { return e.err.Error() }
func (e fetchError) Unwrap() error { return e.err }

// reached is a source whose errors are fetchErrors.
type reached struct{ verify.Source }

// Get implements verify.Source.
func (r reached) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	data, err := r.Source.Get(ctx, path, limit)
	if err != nil {
		err = fetchError{err}
	}
	return data, err
}

// readError gives an error of reading a log the exit code that ledger verify
// has for it. What was read and is not as it should be is tampered with.
func readError(err error) error {
	_, usage := errors.AsType[usageError](err)
	_, coded := errors.AsType[exitError](err)
	if err == nil || usage || coded {
		return err
	}
	return exitError{int(readCode(err)), err}
}

func readCode(err error) verify.Code {
	if _, ok := errors.AsType[*view.RollbackError](err); ok {
		return verify.Rollback
	}
	_, fetching := errors.AsType[fetchError](err)
	switch {
	case errors.Is(err, context.Canceled):
		return verify.Internal
	case errors.Is(err, view.ErrNoEntry), errors.Is(err, verify.ErrNotALog):
		return verify.Usage
	case errors.Is(err, view.ErrForeign):
		return verify.Invalid
	case errors.Is(err, verify.ErrTooLong):
		return verify.Tampered
	case fetching, errors.Is(err, fs.ErrNotExist):
		return verify.Incomplete
	}
	return verify.Tampered
}

// isPassing says whether what the error says may be otherwise soon.
func isPassing(err error) bool {
	coded, ok := errors.AsType[exitError](readError(err))
	return ok && coded.code == int(verify.Incomplete)
}

// notVerified is the error of a command that could not go on because of a
// report.
func notVerified(report *verify.Report) error {
	text := "the log does not verify: " + report.Verdict
	if report.Problem != nil {
		text += ": " + report.Problem.String()
	}
	return exitError{int(report.Code), errors.New(text)}
}

// damage gives an error of a store its exit code.
func damage(err error) error {
	if _, ok := errors.AsType[*ledger.IntegrityError](err); ok {
		return exitError{int(verify.Tampered), err}
	}
	return exitError{int(verify.Internal), err}
}

// unprinted is the error of an output that cannot be written to.
func unprinted(err error) error {
	if err == nil {
		return nil
	}
	return exitError{int(verify.Internal), fmt.Errorf("cannot write the output: %w", err)}
}
