package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// Result is what an export has done.
type Result struct {
	Origin     string
	Size       uint64 // entries in the bundle now
	Root       [32]byte
	NewEntries uint64 // of them, those that were not in it before
	Blobs      uint64 // distinct blobs in the bundle now
	Files      uint64 // put in place this time
	Bytes      uint64 // in those files, before compression
	Report     *verify.Report
}

// Export brings the bundle in the directory dir up to date with the log that
// src reads, and makes the directory if it is absent; the directory above must
// exist. What is there and still right is kept. progress, which may be nil, is
// told how many entries have been verified.
//
// Files on their way lie beside dir, in .<name>.export, until all is verified.
// They stay there when ctx ends or the source cannot be reached, and the next
// export uses them.
//
// A log that does not continue the bundle is a [*RollbackError], one that does
// not verify a [*VerifyError]. Two exports to one directory exclude each other.
func Export(ctx context.Context, src verify.Source, dir string, progress func(done, total uint64)) (Result, error) {
	return (&exporting{src: src, progress: progress}).run(ctx, dir)
}

// exporting is what an export does not learn from the bundle.
type exporting struct {
	src      verify.Source
	progress func(done, total uint64)

	// bundle is the archive that is to be replaced, and since its checkpoint.
	// When empty they become those of the directory.
	bundle string
	since  []byte
}

func (x *exporting) run(ctx context.Context, dir string) (result Result, err error) {
	t, err := openTarget(dir)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if x.bundle == "" {
		x.since, x.bundle = t.checkpoint, t.path
	}
	for {
		s, err := newStaging(ctx, x.src, t)
		if err != nil {
			return Result{}, err
		}
		result, err := x.stage(ctx, s)
		// What an interrupted export has left may be another log's.
		if failed, ok := errors.AsType[*VerifyError](err); ok && s.resumed && failed.Report.Code != verify.Incomplete {
			continue
		}
		return result, err
	}
}

// stage fetches, verifies and publishes.
func (x *exporting) stage(ctx context.Context, s *staging) (Result, error) {
	old, err := x.before(s)
	if err != nil {
		return Result{}, errors.Join(err, s.discard())
	}
	options := verify.Options{Progress: x.progress}
	if x.since != nil {
		options.Since = [][]byte{x.since}
	}
	report := verify.Log(ctx, s, options)
	altered := false
	if report.Code == verify.Tampered && x.since != nil && s.suspects(report.Problem) {
		// Either the bundle was altered, or the log is another than it was.
		if alone := verify.Log(ctx, remoteOnly{s}, options); alone.Code == verify.Verified {
			altered = true
		} else {
			report = alone
		}
	}
	if err := x.judge(ctx, s, report, old, altered); err != nil {
		return Result{}, err
	}
	result, err := s.publish()
	if err != nil {
		return Result{}, err
	}
	result.NewEntries, result.Blobs, result.Report = s.head.Size-old, report.Blobs, report
	return result, nil
}

// before returns how many entries the bundle had, and finds out early what
// verifying would find out late.
func (x *exporting) before(s *staging) (uint64, error) {
	if x.since == nil {
		return 0, nil
	}
	old, err := verify.ParseCheckpoint(x.since)
	if err != nil {
		return 0, fmt.Errorf("the checkpoint in %s is damaged: %w; move the bundle away and export to a new one", x.bundle, err)
	}
	if old.Origin != s.head.Origin {
		return 0, fmt.Errorf("%s holds the log %s, and this is the log %s: give another name", x.bundle, old.Origin, s.head.Origin)
	}
	if old.Size > s.head.Size {
		return 0, &RollbackError{x.bundle, old.Size, s.head.Size, "it has fewer"}
	}
	return old.Size, nil
}

// judge makes an error of every verdict but the good one, and decides what
// becomes of the files on their way.
func (x *exporting) judge(ctx context.Context, s *staging, report *verify.Report, old uint64, altered bool) error {
	if report.Code == verify.Verified {
		return nil
	}
	if ctx.Err() != nil {
		return errors.Join(fmt.Errorf("the export was interrupted: %w; what was fetched is kept in %s for the next one", context.Cause(ctx), s.dir), s.close())
	}
	if err := s.writeError(); err != nil {
		return errors.Join(err, s.discard())
	}
	failed := &VerifyError{Report: report}
	if altered {
		failed.Bundle = x.bundle
	}
	switch p := report.Problem; {
	case report.Code == verify.Incomplete:
		return errors.Join(failed, s.close())
	case report.Code == verify.Rollback && p != nil:
		return errors.Join(&RollbackError{x.bundle, old, s.head.Size, p.Text}, s.discard())
	case report.Code == verify.Usage && p != nil && x.since != nil:
		return errors.Join(fmt.Errorf("%s holds another log than this one, under another key: %s; give another name", x.bundle, p.Text), s.discard())
	}
	return errors.Join(failed, s.discard())
}

// errAbsent says that a source has no such resource.
func errAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
