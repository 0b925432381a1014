package ledger

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/countersign-dev/countersign/ledger/dirlock"
	"github.com/countersign-dev/countersign/ledger/witness"
)

const (
	// MaxLeaf is the longest leaf in bytes: tlog-tiles gives its length 16 bits.
	MaxLeaf = 65535
	// MaxBlob is the longest blob in bytes.
	MaxBlob = 512 << 10
	// DefaultMinFree is the Options.MinFree of those who set none, in bytes.
	DefaultMinFree = 64 << 20

	// Format names the log's format, in its entry 0 and in its store.
	Format = "countersign-ledger/1"
)

// Options say where a log is and how it is kept. Only Dir is always needed.
type Options struct {
	// Dir holds the key, the store and, unless AnchorDir says otherwise, the
	// anchor. Open makes it when it is not there.
	Dir string
	// AnchorDir holds the last acknowledged checkpoint; Dir/anchor when empty.
	// On another disk it also catches that the whole of Dir is put back to an
	// earlier state.
	AnchorDir string
	// Origin names a new log: not empty, at most 255 bytes, no space, no '+', no
	// control characters; by custom a URL without its scheme. A log that exists
	// keeps the name it has, whatever Origin says.
	Origin string
	// Signer is the note signer key ("PRIVATE+KEY+…", Ed25519) when it is kept
	// elsewhere; its name is the log's origin. When empty the key is
	// Dir/ledger.key, made at the first start.
	Signer string
	// MinFree is how many bytes the file systems of the store and of the anchor
	// must have free for an append; DefaultMinFree when 0. That of the store must
	// have more when merging its tables may need more.
	MinFree uint64
	// Log receives what an operator should know; slog.Default when nil.
	Log *slog.Logger
	// Now gives the time written in the ledger's own entries, nothing else
	// depends on it; time.Now when nil.
	Now func() time.Time
	// Witnesses are asked to cosign checkpoints, when not nil.
	Witnesses *witness.Policy
}

// withDefaults fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("a ledger needs a directory: set Dir")
	}
	if o.AnchorDir == "" {
		o.AnchorDir = filepath.Join(o.Dir, "anchor")
	}
	if o.MinFree == 0 {
		o.MinFree = DefaultMinFree
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// storeDir is Badger's directory.
func (o Options) storeDir() string { return filepath.Join(o.Dir, "store") }

// Checkpoint is a signed statement of what the first Size entries are.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   [32]byte
	Note   []byte // the C2SP tlog-checkpoint in its signed note; not to be changed
}

// Entry is one entry to append.
type Entry struct {
	// Leaf is one JSON object of at most MaxLeaf bytes, kept byte for byte. The
	// package documentation has its members.
	Leaf []byte
	// Blobs are the contents named in the leaf's "evidence", each at most
	// MaxBlob bytes, in any order. Those that the log has may be left out.
	Blobs [][]byte
}

// Log is an open log. Make one with Open. Safe for concurrent use.
type Log struct {
	options Options
	origin  string
	vkey    string
	limit   cost // of one transaction
	rows    rows

	// published is the last acknowledged checkpoint. What is beyond it is not
	// shown to anybody. Never nil.
	published atomic.Pointer[Checkpoint]
	// witnessed is the last checkpoint with its cosignatures; nil while none.
	witnessed atomic.Pointer[Checkpoint]
	failure   atomic.Pointer[error]

	requests chan *request // to the sequencer, which answers what it takes
	closing  chan struct{} // closed by Close
	ended    chan struct{} // closed when the sequencer has ended

	cosigning *cosigning     // nil without witnesses
	memory    sync.WaitGroup // of keepSmall

	// sequencer is touched by its goroutine alone once that runs.
	sequencer sequencer

	// open guards rows against Close: Badger unmaps its files then. Held shared
	// by whoever reads, through acquire and release.
	open   sync.RWMutex
	closed bool            // guarded by open
	locks  []*dirlock.Lock // of Dir and of the store; closed last
}

// acquire keeps the store from being closed until release. It fails with
// ErrClosed. Do not hold it while running code of the caller.
func (l *Log) acquire() error {
	l.open.RLock()
	if l.closed {
		l.open.RUnlock()
		return ErrClosed
	}
	return nil
}

func (l *Log) release() { l.open.RUnlock() }

// Origin is the log's name: the first line of its checkpoints and the name of
// its key.
func (l *Log) Origin() string { return l.origin }

// VerifierKey is the note verifier key ("<name>+<id>+<base64>") of the log's
// checkpoints: what others need to verify them.
func (l *Log) VerifierKey() string { return l.vkey }

// Checkpoint is the last acknowledged checkpoint. It never goes back, and is
// that of a log with at least one entry, its own.
func (l *Log) Checkpoint() Checkpoint { return *l.published.Load() }

// Witnessed is the last checkpoint that Options.Witnesses have cosigned, its
// note with their signatures; false while there is none. It may be older than
// Checkpoint.
func (l *Log) Witnessed() (Checkpoint, bool) {
	c := l.witnessed.Load()
	if c == nil {
		return Checkpoint{}, false
	}
	return *c, true
}

// Err is nil while the log takes entries, and after Close. When a write has
// failed it is that error, which wraps ErrFailed, for good.
func (l *Log) Err() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// Close waits for the entries being written and closes the log. Appends that
// have not been begun get ErrClosed, as does everything after it. Closing twice
// is no error.
func (l *Log) Close() error {
	l.open.Lock()
	closed := l.closed
	l.closed = true
	l.open.Unlock()
	if closed {
		return nil
	}
	close(l.closing)
	<-l.ended
	l.cosigning.stop()
	l.memory.Wait()
	return l.closeStore()
}

// closeTimeout is how long Badger may take to write what it has in memory,
// which it tries for ever when the disk does not take it. Of a log that has
// failed nothing better is expected.
const (
	closeTimeout  = 30 * time.Second
	failedTimeout = 2 * time.Second
)

// closeStore closes Badger and gives up the locks, in this order: two
// instances on one directory would destroy it. What was acknowledged is durable
// already; closing only spares the next Open the write-ahead log.
//
// Badger closes by writing a table through a memory map, and on a full disk it
// would die of a signal: then it is left as it is.
func (l *Log) closeStore() error {
	if err := checkSpace(l.options.storeDir(), max(l.options.MinFree/2, waitingSpace)); err != nil {
		l.options.Log.Warn("the ledger's store is left as after a crash, and locked until this process ends; nothing is lost", "because", err)
		return nil
	}
	limit := closeTimeout
	if l.Err() != nil {
		limit = failedTimeout
	}
	done := make(chan error, 1)
	go func() { done <- guarded(l.rows.db.Close) }()
	select {
	case err := <-done:
		if err = errors.Join(err, unlock(l.locks)); err != nil {
			return fmt.Errorf("closing the ledger's store: %w", err)
		}
		return nil
	case <-time.After(limit):
		return fmt.Errorf("the ledger's store did not close within %v: it stays locked until this process ends", limit)
	}
}

// unlock gives up what lockDir has taken.
func unlock(locks []*dirlock.Lock) (err error) {
	for _, lock := range locks {
		err = errors.Join(err, lock.Close())
	}
	return err
}
