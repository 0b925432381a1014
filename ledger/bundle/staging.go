package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// Directories of an export under way. A file is in stagedName only when this
// export has asked for it, so that what is put in place is what was verified.
const (
	stagedName  = "staged"
	keptName    = "kept"    // what an export that was interrupted had fetched
	partPattern = ".part-*" // a file that is being written
)

// staging is an export under way. As a verify.Source it gives one state of the
// log: each resource from the bundle, else from the files on their way, else
// from the log, and then it is on its way. So whoever verifies it has fetched
// it. It is safe for concurrent use.
type staging struct {
	target  *target
	dir     string // with the directories above
	resumed bool   // some of an export that was interrupted is used
	remote  verify.Source
	bundle  *verify.Dir
	staged  *verify.Dir

	checkpoint, witnessed []byte // witnessed is nil when the log has none
	head                  verify.Checkpoint
	beyond                map[string]bool // full tiles that the log has not filled at this size

	mu     sync.Mutex
	failed error // the first failure to write
}

// newStaging fetches the log's checkpoint and gets ready to fetch the rest.
func newStaging(ctx context.Context, src verify.Source, t *target) (*staging, error) {
	s := &staging{target: t, remote: src, dir: filepath.Join(filepath.Dir(t.path), "."+filepath.Base(t.path)+".export")}
	if err := s.fetchHead(ctx); err != nil {
		return nil, err
	}
	s.beyond = map[string]bool{}
	for _, e := range edge(s.head.Size) {
		s.beyond[e.full] = true
	}
	if err := makePrivateDir(s.dir); err != nil {
		return nil, err // what lies there is not this export's to remove
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(err, s.discard())
	}
	return s, nil
}

// fetchHead fetches the checkpoints. The witnessed one comes first: so it is
// never larger than the other.
func (s *staging) fetchHead(ctx context.Context) (err error) {
	s.witnessed, err = s.remote.Get(ctx, verify.WitnessedPath, verify.MaxCheckpoint)
	if err != nil && !errAbsent(err) {
		return fmt.Errorf("cannot read the log: %w", err)
	}
	s.checkpoint, err = s.remote.Get(ctx, verify.CheckpointPath, verify.MaxCheckpoint)
	if errAbsent(err) {
		return fmt.Errorf("this is no log: it has no checkpoint: %w", err)
	}
	if err != nil {
		return fmt.Errorf("cannot read the log: %w", err)
	}
	if s.head, err = verify.ParseCheckpoint(s.checkpoint); err != nil {
		return fmt.Errorf("the log's checkpoint is malformed: %w", err)
	}
	return nil
}

// open makes the directories for files on their way, within one that is on the
// file system of the bundle, and keeps what is in them.
func (s *staging) open() error {
	same, err := sameDevice(s.dir, s.target.path)
	if err != nil {
		return fmt.Errorf("cannot look at the bundle's directory: %w", err)
	}
	if !same {
		return fmt.Errorf("%s is the root of a file system: give a directory below it", s.target.path)
	}
	if err := s.keep(); err != nil {
		return fmt.Errorf("cannot use what an interrupted export has left in %s: %w; remove it", s.dir, err)
	}
	if s.bundle, err = verify.NewDir(s.target.path); err != nil {
		return err
	}
	s.staged, err = verify.NewDir(s.path(stagedName))
	return err
}

// keep moves what an interrupted export had asked for to what it had fetched.
func (s *staging) keep() error {
	for _, name := range []string{stagedName, keptName} {
		if err := os.MkdirAll(s.path(name), 0o700); err != nil {
			return err
		}
	}
	err := filepath.WalkDir(s.path(stagedName), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if part, _ := filepath.Match(partPattern, d.Name()); part {
			return os.Remove(name)
		}
		path, err := filepath.Rel(s.path(stagedName), name)
		if err != nil {
			return err
		}
		return moveFile(name, s.path(keptName, path))
	})
	if err != nil {
		return err
	}
	kept, err := os.ReadDir(s.path(keptName))
	s.resumed = len(kept) > 0
	return err
}

// path is a path in the directory for files on their way.
func (s *staging) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}

// moveFile renames a file and makes the directory for it.
func moveFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func sameDevice(a, b string) (bool, error) {
	var of [2]syscall.Stat_t
	for i, path := range []string{a, b} {
		if err := syscall.Stat(path, &of[i]); err != nil {
			return false, fmt.Errorf("%s: %w", path, err)
		}
	}
	return of[0].Dev == of[1].Dev, nil
}

// close ends the reading.
func (s *staging) close() error {
	var err error
	for _, d := range []*verify.Dir{s.bundle, s.staged} {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	s.bundle, s.staged = nil, nil
	return err
}

// discard removes the files on their way.
func (s *staging) discard() error {
	return errors.Join(s.close(), os.RemoveAll(s.dir))
}

// pinned gives what does not come from files: the checkpoints, and that there
// is nothing beyond them.
func (s *staging) pinned(path string) (data []byte, ok bool, err error) {
	switch {
	case path == verify.CheckpointPath:
		return s.checkpoint, true, nil
	case path == verify.FormatPath:
		return []byte(verify.Format), true, nil
	case path == verify.WitnessedPath && s.witnessed != nil:
		return s.witnessed, true, nil
	case path == verify.WitnessedPath, s.beyond[path]:
		return nil, true, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return nil, false, nil
}

// remoteOnly is the same state of the log without what the bundle has.
type remoteOnly struct{ *staging }

// Get implements verify.Source.
func (r remoteOnly) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if data, ok, err := r.pinned(path); ok {
		return data, err
	}
	return r.remote.Get(ctx, path, limit)
}

// Get implements verify.Source.
func (s *staging) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if data, ok, err := s.pinned(path); ok {
		return data, err
	}
	if data, err := s.bundle.Get(ctx, path, limit); !errAbsent(err) {
		return data, err
	}
	if s.resumed {
		// Another goroutine may have asked for the same a moment ago.
		if err := moveFile(s.path(keptName, path), s.path(stagedName, path)); err != nil && !errAbsent(err) {
			s.fail(err)
			return nil, err
		}
	}
	if data, err := s.staged.Get(ctx, path, limit); !errAbsent(err) {
		return data, err
	}
	data, err := s.remote.Get(ctx, path, limit)
	if err != nil {
		return nil, err
	}
	if err := s.stage(path, data); err != nil {
		s.fail(err)
		return nil, err
	}
	return data, nil
}

// stage writes a file that is to come into the bundle.
func (s *staging) stage(path string, data []byte) error {
	name := s.path(stagedName, path)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("cannot write what was fetched: %w", err)
	}
	return writeFile(s.path(stagedName), name, data)
}

// writeFile writes a file, durable and whole or not at all. Both it and the
// file on its way, in the directory by, are on one file system.
func writeFile(by, name string, data []byte) error {
	f, err := os.CreateTemp(by, partPattern)
	if err != nil {
		return fmt.Errorf("cannot write what was fetched: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write what was fetched: %w", err), os.Remove(f.Name()))
	}
	return nil
}

func (s *staging) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// writeError is the first failure to write, or nil.
func (s *staging) writeError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// suspects says whether a problem can be that of a file that was in the bundle
// before.
func (s *staging) suspects(p *verify.Problem) bool {
	switch {
	case p == nil || p.Resource == "":
		return true
	case p.Resource == verify.CheckpointPath || p.Resource == verify.WitnessedPath:
		return false
	}
	_, err := os.Lstat(filepath.Join(s.target.path, filepath.FromSlash(p.Resource)))
	return err == nil
}
