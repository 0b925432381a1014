package change

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	// maxLine bounds a line that is read; none that was written is longer.
	maxLine = 64 << 10
	// slack is how many stale lines are not worth writing a file anew.
	slack = 64
	// retryAfter is how long a disk at fault is left alone.
	retryAfter = time.Minute
)

// record is a line of the file. A later line of the same change adds what was
// learned since, so that the order of lines does not matter.
type record struct {
	Change   *Change   `json:"change,omitempty"`
	Delivery *delivery `json:"delivery,omitempty"`
}

// file is the store's copy on disk: a line for each record, in JSON. Lines
// are only appended; when most of them are stale the file is written anew
// beside the old one and takes its place. A crash may cut the last line, and
// only a power cut can take more.
type file struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	f       *os.File // nil while the disk is at fault
	lines   int
	closed  bool
	failing bool // that it fails has been logged
	retryAt time.Time
}

// openFile reads what there is into s. It returns nil when nothing can be
// kept at path.
func openFile(path string, log *slog.Logger, s *Store) *file {
	f := &file{path: path, log: log}
	whole, damaged, err := f.load(s)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		aside, moveErr := f.keepAside(os.Rename)
		if moveErr != nil {
			log.Error("the changes of the last days cannot be read, and their file cannot be put aside; changes are kept in memory only until the next start",
				"file", path, "error", err, "putting_aside", moveErr)
			return nil
		}
		log.Error("the changes of the last days cannot be read; begun anew", "file", path, "error", err, "kept_as", aside)
	case damaged > 0:
		aside, keepErr := f.keepAside(copyFile)
		if keepErr != nil {
			log.Error("the file of changes is damaged and cannot be copied; changes are kept in memory only until the next start",
				"file", path, "lines_unreadable", damaged, "error", keepErr)
			return nil
		}
		log.Error("some changes of the last days cannot be read; the others are kept", "file", path, "lines_unreadable", damaged, "kept_as", aside)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil && whole && damaged == 0 && !f.stale(s) {
		f.f, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	} else {
		err = f.rewrite(s)
	}
	if err != nil {
		f.fail(s, err)
	}
	return f
}

// load puts the file's records into s. It says whether the last line is
// whole, and how many of the others cannot be read.
func (f *file) load(s *Store) (whole bool, damaged int, err error) {
	// Not opened before it is known to be a file: opening a pipe would wait.
	info, err := os.Stat(f.path)
	if err != nil {
		return false, 0, err
	}
	if !info.Mode().IsRegular() {
		return false, 0, fmt.Errorf("%s is not a regular file", f.path)
	}
	in, err := os.Open(f.path)
	if err != nil {
		return false, 0, err
	}
	defer in.Close()
	whole = true
	r := bufio.NewReaderSize(in, maxLine)
	for {
		line, err := r.ReadSlice('\n')
		readable := err == nil || err == io.EOF
		for err == bufio.ErrBufferFull {
			_, err = r.ReadSlice('\n')
		}
		if err != nil && err != io.EOF {
			return false, damaged, err
		}
		if err == io.EOF && len(line) == 0 {
			return whole, damaged, nil
		}
		f.lines++
		switch readable = readable && s.restore(line); {
		case err == io.EOF:
			return false, damaged, nil // cut by a crash, or only its newline is
		case !readable:
			damaged++
		}
	}
}

// restore puts one line back, and says whether it is one.
func (s *Store) restore(line []byte) bool {
	var r record
	if json.Unmarshal(line, &r) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Change != nil:
		c, err := tidy(*r.Change)
		if err != nil || c.At.IsZero() {
			return false
		}
		s.put(c, s.now())
	case r.Delivery != nil:
		if r.Delivery.Tenant == "" || !deliveryID(r.Delivery.ID) {
			return false
		}
		s.putDelivery(*r.Delivery, s.now())
	default:
		return false
	}
	return true
}

// append writes records at the end.
func (f *file) append(s *Store, records ...record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.f != nil {
		if err := writeRecords(f.f, records); err != nil {
			f.fail(s, err)
			return
		}
		f.lines += len(records)
	}
	if (f.f != nil && !f.stale(s)) || s.now().Before(f.retryAt) {
		return
	}
	if err := f.rewrite(s); err != nil {
		f.fail(s, err)
		return
	}
	if f.failing {
		f.failing = false
		f.log.Info("changes are kept on disk again", "file", f.path)
	}
}

// fail leaves the disk alone for a while. What it may have written of a line
// is not appended to: the file is written anew when the disk works again.
func (f *file) fail(s *Store, err error) {
	if f.f != nil {
		_ = f.f.Close()
		f.f = nil
	}
	f.retryAt = s.now().Add(retryAfter)
	if !f.failing {
		f.failing = true
		f.log.Error("changes are kept in memory only, until the disk takes them again", "file", f.path, "error", err)
	}
}

func (f *file) stale(s *Store) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	live := 0
	for _, sh := range s.shelves {
		live += len(sh.changes) + len(sh.deliveries)
	}
	return f.lines > 2*live+slack
}

// rewrite replaces the file by what s has. A crash leaves the old or the new one.
func (f *file) rewrite(s *Store) error {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return err
	}
	fresh := f.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	out, err := os.OpenFile(fresh, os.O_CREATE|os.O_EXCL|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	records := s.records()
	err = writeRecords(out, records)
	if err == nil {
		err = out.Sync()
	}
	if err == nil {
		err = os.Rename(fresh, f.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(f.path))
	}
	if err != nil {
		_ = out.Close()
		_ = os.Remove(fresh)
		return err
	}
	if f.f != nil {
		_ = f.f.Close()
	}
	f.f, f.lines = out, len(records)
	return nil
}

func (f *file) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}

// keepAside puts the file, by moving or copying it, where no other is.
func (f *file) keepAside(put func(from, to string) error) (aside string, err error) {
	for n := 1; ; n++ {
		aside = fmt.Sprintf("%s.damaged-%d", f.path, n)
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			return aside, put(f.path, aside)
		} else if err != nil {
			return "", err
		}
	}
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// writeRecords buffers, so that a record is rarely cut and many are few writes.
func writeRecords(out io.Writer, records []record) error {
	var line bytes.Buffer
	w := bufio.NewWriterSize(out, 16<<10)
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	for _, r := range records {
		line.Reset()
		if err := enc.Encode(r); err != nil {
			return err
		}
		if _, err := w.Write(line.Bytes()); err != nil {
			return err
		}
	}
	return w.Flush()
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
