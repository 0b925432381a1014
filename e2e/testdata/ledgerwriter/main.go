// Command ledgerwriter keeps a ledger busy, for tests that take away its disk
// or its life. It says what happened in lines, one write(2) each, so that
// whatever was acknowledged before it was killed is in the pipe:
//
//	open SIZE VKEY            the log is open
//	have INDEX HASH ONCE      an entry from -from on, before anything is appended
//	head NOTE                 the checkpoint, in base64
//	ready                     commands are taken
//	try ONCE                  an AppendOnce begins
//	ack INDEX HASH ONCE       an entry is acknowledged
//	again ONCE INDEX APPENDED HASH    the answer to "once"
//	nospace TEXT              the disk is full; said once until the command to go on
//	failed TEXT               an append was refused for another reason
//	exported, closed, rotated VKEY    done
//	wrong TEXT                the log broke a promise
//
// HASH is a leaf's hash in hex, ONCE is "-" for an entry without it. Commands
// come on standard input:
//
//	load          begin to append, with -workers goroutines
//	once KEY      append an entry with that key, unless there is one
//	export DIR    bring a bundle up to date
//	retry         go on after "nospace"
//	close         close the log and exit
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/countersign-dev/countersign/ledger"
)

func main() {
	var w writer
	var o ledger.Options
	flag.StringVar(&o.Dir, "dir", "", "the ledger's directory")
	flag.StringVar(&o.AnchorDir, "anchor", "", "the anchor's directory")
	flag.StringVar(&o.Origin, "origin", "", "the name of a new ledger")
	flag.Uint64Var(&o.MinFree, "min-free", 0, "space to be kept free, in bytes")
	flag.IntVar(&w.workers, "workers", 16, "goroutines that append")
	flag.Uint64Var(&w.seed, "seed", 1, "decides the entries")
	flag.StringVar(&w.name, "name", "run", "begins the keys of this run")
	flag.BoolVar(&w.bulk, "bulk", false, "every entry brings a blob of the largest size")
	from := flag.Uint64("from", 0, "entries before this one are not listed")
	rotate := flag.Bool("rotate", false, "give the ledger another key, and exit")
	backwards := flag.Bool("backwards", false, "let every reading of the clock be an hour before the one before")
	flag.Parse()

	o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if *backwards {
		o.Now = backwardsClock()
	}
	if *rotate {
		vkey, err := ledger.RotateKey(context.Background(), o, "")
		exitOn(err)
		say("rotated %s", vkey)
		return
	}
	log, err := ledger.Open(context.Background(), o)
	exitOn(err)
	w.Log, w.retry = log, make(chan struct{})
	exitOn(w.introduce(*from))
	w.obey()
}

// say prints a line with one write.
func say(format string, args ...any) {
	if _, err := os.Stdout.WriteString(fmt.Sprintf(format, args...) + "\n"); err != nil {
		exitOn(fmt.Errorf("saying what happened: %w", err))
	}
}

func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "ledgerwriter:", err)
		os.Exit(1)
	}
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// backwardsClock is a clock that was set back before every reading.
func backwardsClock() func() time.Time {
	var mu sync.Mutex
	now := time.Now()
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(-time.Hour)
		return now
	}
}

// writer is an open log and what to do with it.
type writer struct {
	*ledger.Log
	workers int
	seed    uint64
	name    string
	bulk    bool

	mu    sync.Mutex
	retry chan struct{} // guarded by mu: closed by the command "retry"
	full  chan struct{} // guarded by mu: the last of those for which "nospace" was said
}

// introduce says what the log holds.
func (w *writer) introduce(from uint64) error {
	c := w.Checkpoint()
	say("open %d %s", c.Size, w.VerifierKey())
	for r, err := range w.Entries(from, 0) {
		if err != nil {
			return err
		}
		say("have %d %s %s", r.Index, hashOf(r.Leaf), onceOf(r.Leaf))
	}
	w.sayHead()
	say("ready")
	return nil
}

func (w *writer) sayHead() { say("head %s", base64.StdEncoding.EncodeToString(w.Checkpoint().Note)) }

func hashOf(leaf []byte) string {
	hash := tlog.RecordHash(leaf)
	return hex.EncodeToString(hash[:])
}

// obey does what standard input says until its end.
func (w *writer) obey() {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch command, argument, _ := strings.Cut(in.Text(), " "); command {
		case "load":
			for i := range w.workers {
				go w.work(i)
			}
		case "once":
			go w.again(argument)
		case "export":
			go func() {
				if err := w.Export(context.Background(), argument); err != nil {
					say("failed export: %s", oneLine(err))
					return
				}
				say("exported")
			}()
		case "retry":
			w.mu.Lock()
			close(w.retry)
			w.retry = make(chan struct{})
			w.mu.Unlock()
		case "close":
			exitOn(w.Close())
			say("closed")
			return
		default:
			exitOn(fmt.Errorf("there is no command %q", command))
		}
	}
}

// again appends an entry whose key may have been used before a crash.
func (w *writer) again(once string) {
	leaf := againLeaf(once)
	index, appended, err := w.AppendOnce(context.Background(), ledger.Entry{Leaf: leaf})
	if err != nil {
		say("failed once %s: %s", once, oneLine(err))
		return
	}
	say("again %s %d %t %s", once, index, appended, hashOf(leaf))
}

// work appends until it is told that it cannot.
func (w *writer) work(worker int) {
	g := newGenerator(w.seed, w.name, worker, w.bulk)
	for n := 0; ; n++ {
		c := g.next()
		for {
			retry := w.nextRetry()
			err := w.append(c)
			switch {
			case errors.Is(err, ledger.ErrNoSpace):
				w.await(retry, err)
				continue
			case errors.Is(err, ledger.ErrClosed):
				return
			case err != nil:
				say("failed %s", oneLine(err))
				if w.Err() == nil {
					say("wrong an append failed and the log has not: %s", oneLine(err))
				}
				return
			}
			break
		}
		if n%8 == 0 {
			w.sayHead()
		}
	}
}

func (w *writer) nextRetry() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.retry
}

// await waits for the command to go on, unless it came while the append was
// being refused.
func (w *writer) await(retry chan struct{}, err error) {
	w.mu.Lock()
	first := retry == w.retry && retry != w.full
	w.full = retry
	w.mu.Unlock()
	if first {
		say("nospace %s", oneLine(err))
	}
	<-retry
}

// append makes one call and says what was acknowledged.
func (w *writer) append(c call) error {
	ctx := context.Background()
	var indices []uint64
	if c.once != "" {
		say("try %s", c.once)
		index, appended, err := w.AppendOnce(ctx, c.entries[0])
		if err != nil {
			return err
		}
		if !appended {
			say("wrong the key %s was used for the first time and is said to be in entry %d", c.once, index)
		}
		indices = []uint64{index}
	} else {
		var err error
		if indices, err = w.Append(ctx, c.entries); err != nil {
			return err
		}
	}
	for i, index := range indices {
		say("ack %d %s %s", index, hashOf(c.entries[i].Leaf), onceOf(c.entries[i].Leaf))
		if size := w.Checkpoint().Size; size <= index {
			say("wrong entry %d is acknowledged and the checkpoint has %d", index, size)
		}
	}
	return nil
}
