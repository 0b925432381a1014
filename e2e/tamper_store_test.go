//go:build slow

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// How a log must open.
type opening int

const (
	refused opening = iota // it must not
	opened                 // it must, with the same size and root, or what is documented
	either                 // it may, with the same size and root
)

// A storeCase is what a case of a data directory has besides.
type storeCase struct {
	base   *dirImage
	anchor string // where the anchor is, beside the data directory; "" where it always is

	opens    opening
	openAt   *int64 // the entry that the refusal must name
	rollback bool   // the refusal must call it a rollback
	openOnly bool   // the command is left out: there are many like this
}

// stored begins a case of a data directory.
func stored(base *dirImage, object, operation string, spoil func(data string) error, name string, args ...any) tamperCase {
	c := altered(object, operation, nil, name, args...)
	c.spoil, c.store = spoil, &storeCase{base: base}
	return c
}

// opens says how the log opens.
func (c tamperCase) opens(how opening) tamperCase {
	store := *c.store
	store.opens = how
	c.store = &store
	return c
}

// openAt says which entry the refusal must name.
func (c tamperCase) openAt(index int) tamperCase {
	store, i := *c.store, int64(index)
	store.openAt = &i
	c.store = &store
	return c
}

// rolledBack says that the refusal must call it a rollback.
func (c tamperCase) rolledBack() tamperCase {
	store := *c.store
	store.rollback = true
	c.store = &store
	return c.says(verify.Rollback)
}

// openOnly leaves the command out.
func (c tamperCase) openOnly(yes bool) tamperCase {
	store := *c.store
	store.openOnly = yes
	c.store = &store
	return c
}

// anyhow is damage to files that Badger may or may not come to read: what is said
// of it, if anything, can be one of several things.
func (c tamperCase) anyhow() tamperCase {
	return c.says(verify.Tampered, verify.Incomplete, verify.Rollback, verify.Verified).opens(either)
}

// A storeTrial verifies data directories with the command, and opens them.
type storeTrial struct {
	scene    *tamperScene
	log      *tamperLog
	dir      string
	since    []string // files of kept checkpoints, the oldest first
	opener   *opener
	original *verify.Report
}

func (s *tamperScene) storeTrial(l *tamperLog, size int) func(t *testing.T) trial {
	return func(t *testing.T) trial {
		st := &storeTrial{scene: s, log: l, dir: t.TempDir()}
		for _, size := range sortedKeys(l.checkpoints) {
			file := filepath.Join(st.dir, "kept-"+strconv.Itoa(size))
			if err := os.WriteFile(file, l.checkpoints[size], 0o600); err != nil {
				t.Fatal(err)
			}
			st.since = append(st.since, file)
		}
		t.Cleanup(func() {
			if st.opener != nil {
				st.opener.stop()
			}
		})
		st.original = &verify.Report{Size: uint64(size), Entries: uint64(size)}
		c, err := verify.ParseCheckpoint(l.checkpoints[size])
		if err != nil {
			t.Fatal(err)
		}
		st.original.Root = rootText(c)
		return st.try
	}
}

func rootText(c verify.Checkpoint) string {
	return strings.Split(checkpointText(c.Origin, int(c.Size), c.Root), "\n")[2]
}

func (st *storeTrial) try(ctx context.Context, c *tamperCase, tell func(tamperMode, outcome, error)) {
	place, err := os.MkdirTemp(st.dir, "case-")
	if err != nil {
		tell("", found, err)
		return
	}
	defer os.RemoveAll(place)
	data := filepath.Join(place, "data")
	if err := c.store.base.write(data); err != nil {
		tell("", found, err)
		return
	}
	if c.spoil != nil {
		if err := c.spoil(data); err != nil {
			tell("", found, err)
			return
		}
	}
	before, err := readImage(place)
	if err != nil {
		tell("", found, err)
		return
	}
	unchanged := func() error {
		after, err := readImage(place)
		if err != nil {
			return err
		}
		if difference := before.difference(after); difference != "" {
			return errors.New("the directory was changed: " + difference)
		}
		return nil
	}
	if !c.store.openOnly {
		st.command(ctx, c, place, tell)
		if err := unchanged(); err != nil {
			tell("the command", found, err)
		}
	}
	st.open(c, place, unchanged, tell)
}

// command verifies the directory with the command.
func (st *storeTrial) command(ctx context.Context, c *tamperCase, place string, tell func(tamperMode, outcome, error)) {
	modes := []tamperMode{withKey}
	for _, mode := range []tamperMode{withKept, withOldest} {
		if _, ok := c.in[mode]; ok {
			modes = append(modes, mode)
		}
	}
	if seeded(c.name).IntN(6) == 0 && len(modes) == 1 {
		modes = append(modes, withKept)
	}
	for _, mode := range modes {
		args := []string{"ledger", "verify", "--json", "--store", filepath.Join(place, "data"), "--vkey", st.log.keys[0].vkey}
		for i, file := range st.since {
			if mode == withKept || mode == withOldest && i == 0 {
				args = append(args, "--since", file)
			}
		}
		if c.store.anchor != "" {
			args = append(args, "--anchor", filepath.Join(place, c.store.anchor))
		}
		r, err := runVerify(ctx, args)
		if err != nil {
			tell(mode, found, err)
			continue
		}
		judged, err := c.judge(mode, r, st.original)
		tell(mode, judged, err)
	}
}

// runVerify runs the command and reads its report.
func runVerify(ctx context.Context, args []string) (*verify.Report, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return nil, err
	}
	said := strings.TrimSpace(stderr.String())
	if strings.Contains(said, "goroutine ") || strings.Count(said, "\n") > 0 {
		return nil, fmt.Errorf("it does not say in a line what is wrong: %.600s", said)
	}
	r := &verify.Report{}
	if err := json.Unmarshal(stdout.Bytes(), r); err != nil {
		if cmd.ProcessState.ExitCode() != int(verify.Usage) {
			return nil, fmt.Errorf("there is no report, exit code %d: %s", cmd.ProcessState.ExitCode(), said)
		}
		r.Code, r.Verdict, r.Problem = verify.Usage, verify.Usage.String(), &verify.Problem{Text: said}
	}
	if cmd.ProcessState.ExitCode() != int(r.Code) {
		return nil, fmt.Errorf("the exit code is %d and the report's %d", cmd.ProcessState.ExitCode(), int(r.Code))
	}
	return r, nil
}

// open opens the log, which must refuse what is damaged and leave it as it is.
func (st *storeTrial) open(c *tamperCase, place string, unchanged func() error, tell func(tamperMode, outcome, error)) {
	const mode = "opened"
	if st.opener == nil {
		var err error
		if st.opener, err = startOpener(); err != nil {
			tell(mode, found, err)
			return
		}
	}
	request := openRequest{Dir: filepath.Join(place, "data")}
	if c.store.anchor != "" {
		request.Anchor = filepath.Join(place, c.store.anchor)
	}
	answer, err := st.opener.open(request)
	if err != nil {
		st.opener = nil
		tell(mode, found, err)
		return
	}
	o, err := c.judgeOpen(answer, st.original)
	if err == nil && !answer.Opened {
		err = unchanged()
	}
	tell(mode, o, err)
}

// judgeOpen compares how a log opened with what the case says.
func (c *tamperCase) judgeOpen(a openAnswer, original *verify.Report) (outcome, error) {
	switch {
	case a.Opened && c.store.opens == refused:
		return found, fmt.Errorf("it opens, with %d entries and root %s", a.Size, a.Root)
	case a.Opened && c.documented:
		return asExpected, nil
	case a.Opened && (a.Size != original.Size || a.Root != original.Root):
		return found, fmt.Errorf("it opens with %d entries and root %s instead of %d and %s", a.Size, a.Root, original.Size, original.Root)
	case a.Opened && a.Error != "":
		return found, fmt.Errorf("closing it: %s", a.Error)
	case a.Opened:
		return sameRoot, nil
	case c.store.opens == opened:
		return found, fmt.Errorf("it does not open: %s", a.Error)
	case !a.Integrity && c.operation != "replace" && !slices.Contains([]string{objectKey, objectFormat, objectDirectory}, c.object):
		return found, fmt.Errorf("the refusal does not say that the ledger is damaged: %s", a.Error)
	case c.store.openAt != nil && a.Index != *c.store.openAt:
		return found, fmt.Errorf("the refusal must name entry %d: %s", *c.store.openAt, a.Error)
	case c.store.rollback && !a.Rollback:
		return found, fmt.Errorf("the refusal must call it a rollback: %s", a.Error)
	}
	return found, nil
}
