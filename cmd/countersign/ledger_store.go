package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// Names in a data directory.
const (
	storeName  = "store"
	anchorName = "anchor"
)

// storeCopy is a copy of a store, served by a child process: Badger can end
// the process over a damaged one. As a verify.Source it is what the store's
// rows say, and the witnessed checkpoint that lies beside the anchor.
type storeCopy struct {
	*verify.HTTP
	temp   string
	child  *child
	anchor string // directory of the anchor
}

// openStore copies the store in a data directory and has it served. An error
// of the store is an exitError with the verdict.
func openStore(ctx context.Context, c *cli.Context, data string) (_ *storeCopy, err error) {
	store, err := findStore(data)
	if err != nil {
		return nil, err
	}
	s := &storeCopy{anchor: filepath.Join(data, anchorName)}
	if s.temp, err = os.MkdirTemp("", "countersign-store-"); err != nil {
		return nil, exitError{int(verify.Internal), fmt.Errorf("cannot make a directory for a copy of the store: %w", err)}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	dir := filepath.Join(s.temp, storeName)
	if err := copyStore(ctx, c, store, dir); err != nil {
		return nil, err
	}
	size, err := sizeOf(dir)
	if err != nil {
		return nil, exitError{int(verify.Internal), err}
	}
	if s.child, err = startChild(ctx, s.temp, storeName, allowanceFor(size)); err != nil {
		return nil, err
	}
	s.HTTP, err = verify.NewHTTP("http://store", s.child.client())
	return s, err
}

// findStore finds the store in a data directory, or says what was given instead.
func findStore(data string) (string, error) {
	usage := func(format string, args ...any) (string, error) {
		return "", usageError{fmt.Sprintf(format, args...)}
	}
	info, err := os.Stat(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usage("there is no directory %s", data)
	case err != nil:
		return usage("cannot look at %s", fileError(data, err))
	case !info.IsDir():
		return usage("%s is a file: --store takes a sidecar's data directory", data)
	}
	has := func(names ...string) bool {
		_, err := os.Lstat(filepath.Join(append([]string{data}, names...)...))
		return err == nil
	}
	switch {
	case has(verify.FormatPath):
		return usage("%s is a bundle: name it without --store", data)
	case has(storeName):
		return filepath.Join(data, storeName), nil
	case has("MANIFEST"):
		return usage("%s is the store itself: give the data directory that it lies in, %s", data, filepath.Dir(filepath.Clean(data)))
	case has(anchorName, verify.CheckpointPath):
		return "", exitError{int(verify.Incomplete), fmt.Errorf("%s has an anchor but no store: the store was removed", data)}
	case has(verify.CheckpointPath):
		return usage("%s is an anchor's directory: give the data directory, which holds the store", data)
	}
	return usage("%s holds no ledger: --store takes a sidecar's data directory", data)
}

// copyStore copies a store, with progress.
func copyStore(ctx context.Context, c *cli.Context, from, to string) error {
	p := newProgress(c, "copying the store", byteCount)
	defer p.end()
	err := ledger.CopyStore(ctx, from, to, func(done, total int64) { p.update(uint64(done), uint64(total)) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ledger.ErrLocked):
		return usageError{fmt.Sprintf("the ledger in %s is in use: read it through the sidecar's admin API (for example countersign ledger verify http://127.0.0.1:9090/ledger), or stop the sidecar", filepath.Dir(from))}
	case ctx.Err() != nil:
		return exitError{int(verify.Internal), errors.New("interrupted while the store was copied")}
	}
	if damaged, ok := errors.AsType[*ledger.IntegrityError](err); ok {
		return exitError{int(verify.Tampered), damaged}
	}
	return exitError{int(verify.Internal), fmt.Errorf("%w (the copy goes to the directory for temporary files; TMPDIR names another)", err)}
}

// sizeOf is how many bytes the files in a directory have.
func sizeOf(dir string) (total uint64, err error) {
	files, err := os.ReadDir(dir)
	for _, file := range files {
		info, problem := file.Info()
		if err = errors.Join(err, problem); problem == nil {
			total += uint64(info.Size())
		}
	}
	return total, err
}

// Close ends the child and removes the copy.
func (s *storeCopy) Close() error {
	if s.child != nil {
		s.child.stop()
	}
	return os.RemoveAll(s.temp)
}

// Get implements verify.Source.
func (s *storeCopy) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path == verify.WitnessedPath {
		return readUpTo(filepath.Join(s.anchor, path), limit)
	}
	data, err := s.HTTP.Get(ctx, path, limit)
	if err != nil && ctx.Err() == nil && s.child.hasEnded() {
		err = s.child.failure()
	}
	return data, err
}

// readAnchor reads the store's anchor, from the file or directory that is
// named, else from beside the store. It is nil when there is none.
func (s *storeCopy) readAnchor(named string) ([]byte, error) {
	file := filepath.Join(s.anchor, verify.CheckpointPath)
	if named != "" {
		file, s.anchor = named, filepath.Dir(named)
		if info, err := os.Stat(named); err == nil && info.IsDir() {
			file, s.anchor = filepath.Join(named, verify.CheckpointPath), named
		}
	}
	anchor, err := readSmall(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the anchor: %w", err)
	}
	return anchor, nil
}

// verify verifies the copy, with the anchor, and then what only a store has.
func (s *storeCopy) verify(ctx context.Context, anchor []byte, options verify.Options) *verify.Report {
	options.Anchor, options.RequireAnchor = anchor, true
	alive, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-s.child.ended:
			cancel(errors.New("the process that reads the store has ended"))
		case <-alive.Done():
		}
	}()
	report := verify.Log(alive, s, options)
	var audited error
	switch report.Code {
	case verify.Verified, verify.Invalid, verify.AnchorAbsent:
		audited = s.audit(alive)
	}
	switch {
	case ctx.Err() != nil:
	case s.child.hasEnded():
		failure := s.child.failure()
		overrule(report, verify.Code(failure.code), failure.Error())
	case audited != nil:
		f, ok := errors.AsType[*finding](audited)
		if !ok {
			f = &finding{Code: verify.Tampered, Text: audited.Error()}
		}
		overrule(report, f.Code, f.Text)
		report.Problem.Index = f.Index
	}
	return report
}

// audit has the child check what only a store has.
func (s *storeCopy) audit(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://store"+auditPath, nil)
	if err != nil {
		return err
	}
	res, err := s.child.client().Do(req)
	if err != nil {
		return fmt.Errorf("the store cannot be audited: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	found := new(finding)
	if err := json.NewDecoder(io.LimitReader(res.Body, maxSmall)).Decode(found); err != nil {
		return fmt.Errorf("the store cannot be audited: %w", err)
	}
	return found
}

// overrule gives a report another verdict.
func overrule(report *verify.Report, code verify.Code, text string) {
	other := verify.Failed(&verify.SourceError{Code: code, Text: text})
	report.Code, report.Verdict, report.Tier, report.Problem = other.Code, other.Verdict, "", other.Problem
}
