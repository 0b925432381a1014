package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
)

// errNotRegular says that a resource is there, but not as a file.
var errNotRegular = errors.New("it is not a regular file")

// listBatch is how many names of a directory are held at a time.
const listBatch = 1024

// maxDepth is how deep the directories of a bundle can lie: tile, level and
// seven groups of digits.
const maxDepth = 16

// Dir is a bundle that lies in a directory. It reads nothing outside of it,
// whatever links there are. It is safe for concurrent use.
type Dir struct {
	root *os.Root
}

// NewDir opens a directory as a bundle. Close it after use.
func NewDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the bundle's directory: %w", err)
	}
	return &Dir{root: root}, nil
}

// Close ends the use of the directory. It removes nothing.
func (d *Dir) Close() error { return d.root.Close() }

// isStore says whether this is where a ledger is written, which somebody may give
// in place of a bundle.
func (d *Dir) isStore() bool {
	_, bundle := d.root.Stat(CheckpointPath)
	info, err := d.root.Stat("store")
	return bundle != nil && err == nil && info.IsDir()
}

// Get reads a file of the bundle.
func (d *Dir) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(filepath.FromSlash(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, fmt.Errorf("%w: a file is where a directory of it should be", fs.ErrNotExist)
	}
	if err != nil {
		if _, absent := d.root.Lstat(filepath.FromSlash(path)); absent == nil && errors.Is(err, fs.ErrNotExist) {
			return nil, errNotRegular // a link to nothing
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	return readFile(f, info.Size(), limit)
}

// readFile reads a file that had size bytes a moment ago.
func readFile(f *os.File, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLong, size, limit)
	}
	data := make([]byte, size)
	n, err := io.ReadFull(f, data)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, err
	}
	return data[:n], nil
}

// List yields all that is in the directory and is no directory itself, and
// directories with nothing in them, whose path it gives a slash at the end.
func (d *Dir) List(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		d.list(ctx, ".", 0, yield)
	}
}

func (d *Dir) list(ctx context.Context, name string, depth int, yield func(string, error) bool) bool {
	if depth > maxDepth {
		return yield(name, nil)
	}
	f, err := d.root.Open(filepath.FromSlash(name))
	if err != nil {
		return yield(name, err)
	}
	defer f.Close()
	var below []string
	empty := name != "."
	for {
		if err := ctx.Err(); err != nil {
			return yield(name, err)
		}
		entries, err := f.ReadDir(listBatch)
		empty = empty && len(entries) == 0
		for _, e := range entries {
			path := join(name, e.Name())
			if e.IsDir() {
				below = append(below, path)
			} else if !yield(path, nil) {
				return false
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return yield(name, err)
		}
	}
	if empty {
		return yield(name+"/", nil)
	}
	for _, path := range below {
		if !d.list(ctx, path, depth+1, yield) {
			return false
		}
	}
	return true
}

func join(dir, name string) string {
	if dir == "." {
		return name
	}
	return dir + "/" + name
}
