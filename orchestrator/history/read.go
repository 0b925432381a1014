package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"
)

// Damage is a record or a file that could not be read. Others can be.
type Damage struct {
	File string // its name, without the directory
	Line int    // the line, from 1; 0 when it is the rest of the file
	Err  error
}

func (d *Damage) Error() string {
	if d.Line == 0 {
		return fmt.Sprintf("%s cannot be read to its end: %v", d.File, d.Err)
	}
	return fmt.Sprintf("%s, line %d: %v", d.File, d.Line, d.Err)
}

func (d *Damage) Unwrap() error { return d.Err }

// Read gives a tenant's ticks from one time up to another, which is not
// included, by their minutes, in the order in which they were recorded: that of
// time, unless the clock was put back. A minute has only the ticks that were
// asked for, its histogram is the whole minute's.
//
// What is damaged is passed over and given as an error, a *Damage; with any
// other error there is nothing more. There may be a Writer at work at the same
// time, in another process too. One record is in memory at a time.
func Read(dir, tenant string, from, to time.Time) iter.Seq2[Minute, error] {
	return func(yield func(Minute, error) bool) {
		dir := tenantDir(dir, tenant)
		all, err := daysIn(dir)
		if err != nil {
			yield(Minute{}, fmt.Errorf("cannot read the history: %w", err))
			return
		}
		for _, f := range all {
			if f.day < dayOf(from) || f.day > dayOf(to.Add(-1)) {
				continue
			}
			if !readDay(dir, f.day, from, to, yield) {
				return
			}
		}
	}
}

// readDay gives a day's records; false when no more are wanted.
//
// The Writer may pack the day at any moment. The file with lines is opened
// first: either it is had before it is removed, or the packed one is there.
func readDay(dir string, d day, from, to time.Time, yield func(Minute, error) bool) bool {
	live, err := openIfThere(d.live(dir))
	if err != nil {
		return yield(Minute{}, &Damage{File: filepath.Base(d.live(dir)), Err: err})
	}
	if live != nil {
		defer func() { _ = live.Close() }()
	}
	packed, err := openIfThere(d.packed(dir))
	if err != nil && !yield(Minute{}, &Damage{File: filepath.Base(d.packed(dir)), Err: err}) {
		return false
	}
	if packed != nil {
		defer func() { _ = packed.Close() }()
		if live != nil {
			if done, err := isPacked(packed, live); err == nil && done {
				live = nil
			}
		}
		z, err := unpack(packed)
		if err != nil {
			return yield(Minute{}, &Damage{File: filepath.Base(packed.Name()), Err: err})
		}
		defer z.Close()
		if !readLines(filepath.Base(packed.Name()), z, from, to, yield) {
			return false
		}
	}
	return live == nil || readLines(filepath.Base(live.Name()), live, from, to, yield)
}

func openIfThere(path string) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

// readLines gives the records of one file; false when no more are wanted.
func readLines(name string, r io.Reader, from, to time.Time, yield func(Minute, error) bool) bool {
	number := 0
	for line, err := range lines(r) {
		number++
		switch {
		case errors.Is(err, errLong):
			err = &Damage{File: name, Line: number, Err: err}
		case err != nil:
			err = &Damage{File: name, Err: err}
		case len(line) == 0 || outside(line, from, to):
			continue
		}
		var m Minute
		if err == nil {
			if m, err = decode(line); err != nil {
				err = &Damage{File: name, Line: number, Err: err}
			} else if m.Ticks = within(m.Ticks, from, to); len(m.Ticks) == 0 {
				continue
			}
		}
		if !yield(m, err) {
			return false
		}
	}
	return true
}

func within(ticks []Tick, from, to time.Time) []Tick {
	kept := ticks[:0]
	for _, t := range ticks {
		if at := t.Input.Time; !at.Before(from) && at.Before(to) {
			kept = append(kept, t)
		}
	}
	return kept
}

// outside knows without decoding a record that its minute is not asked for.
func outside(line []byte, from, to time.Time) bool {
	rest, ok := bytes.CutPrefix(line, []byte(`{"v":1,"start":"`))
	text, _, found := bytes.Cut(rest[:min(len(rest), 40)], []byte{'"'})
	start, err := time.Parse(time.RFC3339, string(text))
	return ok && found && err == nil && (!start.Add(time.Minute).After(from) || !start.Before(to))
}

// decode reads one record, which may come from anywhere.
func decode(line []byte) (Minute, error) {
	var m Minute
	if err := json.Unmarshal(line, &m); err != nil {
		return Minute{}, err
	}
	switch {
	case m.V != version:
		return Minute{}, fmt.Errorf("it is of version %d, and this program reads version %d", m.V, version)
	case len(m.Ticks) == 0 || len(m.Ticks) > maxTicks:
		return Minute{}, fmt.Errorf("it has %d ticks, and 1 to %d are possible", len(m.Ticks), maxTicks)
	}
	for _, t := range m.Ticks {
		if at := t.Input.Time; at.Before(m.Start) || !at.Before(m.Start.Add(time.Minute)) {
			return Minute{}, fmt.Errorf("it has a tick of %s, which is not in its minute, %s", at.Format(time.RFC3339), m.Start.Format(time.RFC3339))
		}
	}
	return m, nil
}

var errLong = fmt.Errorf("it has more than %d bytes", maxLine)

// lines gives the whole lines of r, each until the next, and after an error
// other than errLong nothing more. A last line without an end is one that is
// being written, or that a crash has cut.
func lines(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		var long []byte // of a line longer than the buffer
		tooLong := false
		for {
			part, err := in.ReadSlice('\n')
			if tooLong = tooLong || len(long)+len(part) > maxLine; tooLong {
				long = long[:0]
			}
			switch {
			case errors.Is(err, bufio.ErrBufferFull):
				if !tooLong {
					long = append(long, part...)
				}
				continue
			case errors.Is(err, io.EOF):
				return
			case err != nil:
				yield(nil, err)
				return
			}
			var line []byte
			switch {
			case tooLong:
				err = errLong
			case len(long) > 0:
				long = append(long, part...)
				line = long[:len(long)-1]
			default:
				line = part[:len(part)-1]
			}
			if !yield(line, err) {
				return
			}
			long, tooLong = long[:0], false
		}
	}
}
