package ledger

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// The store's sizes in bytes. A memtable is what Badger keeps in memory before
// it becomes a table of the same size; 15 % of it is the largest transaction,
// which must hold the longest leaf with the largest blob. Tables below that are
// merged in small portions: what Badger needs for it stays in the heap for a
// while.
const (
	memTable  = 4 << 20
	baseTable = 2 << 20
	baseLevel = 8 << 20
)

// badgerOptions are those of a store, tuned for a sidecar: little memory, rows
// that are written once, nearly all of them in the order of their keys.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.Logger = badgerLog{log}
	o.SyncWrites = true
	o.DetectConflicts = false // there is one writer
	o.MetricsEnabled = false
	// A table whose blocks are compressed loses rows silently when a bit flips;
	// one without compression that is checked when it is opened cannot.
	o.Compression = options.None
	o.ChecksumVerificationMode = options.OnTableRead
	o.BlockCacheSize = 0
	o.IndexCacheSize = 0

	o.MemTableSize = memTable
	o.NumMemtables = 2
	o.BaseTableSize = baseTable
	o.TableSizeMultiplier = 1
	o.BaseLevelSize = baseLevel
	o.NumLevelZeroTables = 3
	o.NumLevelZeroTablesStall = 6
	o.NumCompactors = 2
	o.NumGoroutines = 1
	// In smaller blocks more is wasted at the ends, so much that the buffer for a
	// memtable's table, 4 MiB, is outgrown; and Badger keeps eight of them.
	o.BlockSize = 16 << 10
	// All values stay beside their keys: the value log stays empty, so that one
	// file, the write-ahead log, holds a transaction whole.
	o.ValueThreshold = MaxBlob + 64
	o.ValueLogFileSize = 1 << 20
	return o
}

// badgerLog passes on what Badger reports: what it calls information is of
// interest only to whoever debugs it.
type badgerLog struct{ log *slog.Logger }

func (b badgerLog) Errorf(format string, args ...any)   { b.say(slog.LevelError, format, args) }
func (b badgerLog) Warningf(format string, args ...any) { b.say(slog.LevelWarn, format, args) }
func (b badgerLog) Infof(format string, args ...any)    { b.say(slog.LevelDebug, format, args) }
func (b badgerLog) Debugf(string, ...any)               {}

func (b badgerLog) say(level slog.Level, format string, args []any) {
	if b.log.Enabled(context.Background(), level) {
		b.log.Log(context.Background(), level, "ledger store", "message", strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
