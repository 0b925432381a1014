package verify

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strings"
)

// Paths of the resources that have one fixed name.
const (
	CheckpointPath = "checkpoint"
	WitnessedPath  = "checkpoint.witnessed"
	FormatPath     = "countersign-ledger"
)

// Format is the content of FormatPath in a bundle that this package reads.
const Format = "countersign-ledger/1\n"

const (
	formatName = "countersign-ledger/" // and a version make a format
	maxFormat  = 64                    // bytes
)

// What a resource of each kind is at most, in bytes.
const (
	MaxCheckpoint = 64 << 10
	MaxTile       = tileWidth * hashSize
	MaxEntries    = tileWidth * (2 + MaxLeaf)
	MaxLeaf       = 65535
	MaxBlob       = 512 << 10
)

// A Source gives the resources of one log by their path, as TilePath,
// EntriesPath, BlobPath and the constants name them. It must be safe for
// concurrent use.
type Source interface {
	// Get returns the whole resource; the caller owns the bytes. The error wraps
	// fs.ErrNotExist when there is no such resource, and ErrTooLong when it has
	// more than limit bytes.
	Get(ctx context.Context, path string, limit int64) ([]byte, error)
}

// A Lister is a Source that can say what it holds. Of such a source everything
// must belong to the log: a file nobody asked for is found too.
type Lister interface {
	// List yields the path of every file, each once, in any order, and that of a
	// directory that holds none with a slash at its end.
	List(ctx context.Context) iter.Seq2[string, error]
}

var (
	// ErrTooLong is in the error of Source.Get when a resource has more bytes
	// than its kind can have.
	ErrTooLong = errors.New("it is longer than a resource of its kind can be")

	// ErrNotALog is in the error of Source.Get when what answers there is no log
	// at all, a web page for instance.
	ErrNotALog = errors.New("this is not a ledger")
)

// A SourceError says why a source could not be opened, with the verdict that
// follows from it. Failed makes a Report of it.
type SourceError struct {
	Code Code
	Text string
	Err  error // cause, or nil
}

func (e *SourceError) Error() string {
	if e.Err == nil {
		return e.Text
	}
	return e.Text + ": " + e.Err.Error()
}

func (e *SourceError) Unwrap() error { return e.Err }

// OpenSource opens what where names: an http or https URL, a bundle's
// directory, or a bundle's archive (.tar.zst), which is extracted to a
// temporary directory first. The closer removes what was made for it. An error
// is a *SourceError, or that of ctx.
func OpenSource(ctx context.Context, where string) (Source, io.Closer, error) {
	if strings.Contains(where, "://") {
		h, err := NewHTTP(where, nil)
		if err != nil {
			return nil, nil, &SourceError{Code: Usage, Text: err.Error()}
		}
		return h, io.NopCloser(nil), nil
	}
	info, err := os.Stat(where)
	if err != nil {
		return nil, nil, &SourceError{Code: Usage, Text: "cannot open the bundle", Err: err}
	}
	if !info.IsDir() {
		a, err := OpenArchive(ctx, where)
		if err != nil {
			return nil, nil, err
		}
		return a, a, nil
	}
	d, err := NewDir(where)
	if err != nil {
		return nil, nil, &SourceError{Code: Usage, Text: err.Error()}
	}
	if d.isStore() {
		return nil, nil, &SourceError{Code: Usage, Text: "this is the data directory of a ledger, not a bundle: " +
			"verify it with --store, or export a bundle of it", Err: d.Close()}
	}
	return d, d, nil
}
