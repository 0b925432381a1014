// Command ledger measures the ledger beside two limits that promise less: Badger
// with synchronous writes, and a file that is appended to and fsynced.
//
//	go run ./bench/ledger -dir /var/tmp
//
// What is durable is: an append counts when it has returned. The directory must be
// on the disk that is meant; on a file system in memory it says so and stops. It
// writes ledger.md and ledger.json, and prints the first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/bench/machine"
	"github.com/countersign-dev/countersign/bench/page"
)

// options are the flags.
type options struct {
	dir, out string
	rounds   int
	span     time.Duration
	short    bool
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", os.TempDir(), "the directory to measure in, which needs 1 GB")
	flag.IntVar(&o.rounds, "rounds", 10, "how often each is measured, one after the other, from 3")
	flag.DurationVar(&o.span, "for", 3*time.Second, "how long each round appends")
	flag.BoolVar(&o.short, "short", false, "few and short rounds, and no long logs")
	flag.StringVar(&o.out, "out", "", "the directory of the report; bench/results, or bin/bench of a short run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ledger:", err)
		os.Exit(1)
	}
}

func (o options) run(ctx context.Context) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("%q is nothing that it takes: see -help", flag.Arg(0))
	}
	if o.rounds < 3 || o.span <= 0 {
		return errors.New("-rounds must be at least 3, as fewer give no interval, and -for more than 0")
	}
	lengths := []int{1_000, 10_000, 100_000}
	if o.short {
		o.rounds, o.span, lengths = 3, 500*time.Millisecond, lengths[:2]
	}
	disk, err := fileSystem(o.dir)
	if err != nil {
		return err
	}
	r := Report{Setting: machine.Begin(), Short: o.short, Rounds: o.rounds, Span: o.span, FileSystem: disk, EntryBytes: entryBytes}
	r.Versions = machine.Versions(ctx, ".")
	stop, err := r.StayAwake(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := r.measure(ctx, o.dir, lengths); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted before there was a report")
		}
		return err
	}
	r.End()
	text, err := r.markdown()
	if err != nil {
		return err
	}
	fmt.Print(text)
	return page.Write(page.Directory(o.out, o.short), "ledger", text, r)
}

// measure works in a directory of its own below dir, which goes again.
func (r *Report) measure(ctx context.Context, dir string, lengths []int) (err error) {
	dir, err = os.MkdirTemp(dir, "ledger-bench-")
	if err != nil {
		return fmt.Errorf("no directory to measure in: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if r.Appends, err = appends(ctx, dir, r.Rounds, r.Span); err != nil {
		return err
	}
	r.Lengths, err = lengthsOf(ctx, dir, lengths)
	return err
}

// magics are the file systems that are told apart by name (statfs(2)).
var magics = map[int64]string{0xef53: "ext4", 0x58465342: "xfs", 0x9123683e: "btrfs", 0x794c7630: "overlayfs", 0x2fc12fc1: "zfs"}

// inMemory are those on which an fsync does nothing.
var inMemory = map[int64]string{0x01021994: "tmpfs", 0x858458f6: "ramfs"}

func fileSystem(dir string) (string, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("%s cannot be measured in: %w", dir, err)
	}
	kind := int64(s.Type)
	if name := inMemory[kind]; name != "" {
		return "", fmt.Errorf("%s is on %s, where nothing is durable: give a directory on a disk with -dir", dir, name)
	}
	if name := magics[kind]; name != "" {
		return name, nil
	}
	return fmt.Sprintf("file system %#x", kind), nil
}
