package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/countersign-dev/countersign/histogram"
)

// recording is one tenant's history as it is being written. It is owned by
// Writer.Run.
type recording struct {
	cfg         Config
	tenant, dir string

	minute    Minute // collected so far
	durations *histogram.Counts

	file  *os.File // of day, nil while closed
	day   day
	bytes int64 // that the tenant's files take up

	failing bool // the disk refused the last record
	lost    int  // records since it did
}

// add collects a tick, after writing the minute before when it begins another.
func (r *recording) add(it item) {
	at := it.tick.Input.Time
	if start := minuteOf(at); !start.Equal(r.minute.Start) || len(r.minute.Ticks) >= maxTicks {
		r.flush()
		r.minute = Minute{V: version, Start: start, Ticks: r.minute.Ticks[:0]}
	}
	it.tick.Input.Time = at.UTC()
	r.minute.Ticks = append(r.minute.Ticks, it.tick)
	if it.durations != nil {
		r.durations = it.durations
	}
}

// flush writes the minute that was collected. What the disk refuses is lost,
// and said once until it takes something again.
func (r *recording) flush() {
	if len(r.minute.Ticks) == 0 {
		return
	}
	err := r.write()
	clear(r.minute.Ticks)
	r.minute.Ticks, r.durations = r.minute.Ticks[:0], nil
	switch {
	case err != nil:
		r.close() // the next record looks anew at what is there
		if r.lost++; !r.failing {
			r.failing = true
			r.cfg.Log.Error("the history is not recorded; decisions do not depend on it, and it is tried again every minute", "tenant", r.tenant, "err", err)
		}
	case r.failing:
		r.cfg.Log.Info("the history is recorded again", "tenant", r.tenant, "lost_records", r.lost)
		r.failing, r.lost = false, 0
	}
}

func (r *recording) write() error {
	line, err := r.encode()
	if err != nil {
		return err
	}
	if err := r.open(dayOf(r.minute.Start)); err != nil {
		return err
	}
	if r.bytes+int64(len(line)) > r.cfg.MaxBytes {
		if r.bytes, err = prune(r.dir, r.day, r.cfg.MaxDays, r.cfg.MaxBytes-int64(len(line)), false); err != nil {
			return err
		}
		if r.bytes+int64(len(line)) > r.cfg.MaxBytes {
			return fmt.Errorf("the records of %s alone take up the %d bytes that a history may have", r.day, r.cfg.MaxBytes)
		}
	}
	_, err = r.file.Write(line)
	if err == nil {
		r.bytes += int64(len(line))
	}
	return err
}

func (r *recording) encode() ([]byte, error) {
	if r.durations != nil && r.durations.Total() > 0 {
		encoded, err := r.durations.EncodeV2()
		if err != nil {
			return nil, fmt.Errorf("cannot encode the minute's histogram: %w", err)
		}
		r.minute.Durations = encoded
	}
	line, err := json.Marshal(r.minute)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the record of %s: %w", r.minute.Start, err)
	}
	if len(line) >= maxLine {
		return nil, fmt.Errorf("the record of %s has %d bytes, and %d are the most", r.minute.Start, len(line), maxLine)
	}
	return append(line, '\n'), nil
}

// open makes d the day that is written to, and tidies up after the others.
func (r *recording) open(d day) error {
	if r.file != nil && r.day == d {
		return nil
	}
	steady := d == r.day+1
	r.close()
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	if err := tidy(r.dir, d, r.cfg.MaxDays, r.cfg.MaxBytes, steady); err != nil {
		// The day can be recorded all the same.
		r.cfg.Log.Warn("cannot tidy up the history", "tenant", r.tenant, "err", err)
	}
	f, err := os.OpenFile(d.live(r.dir), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	if err := endLine(f); err != nil {
		return errors.Join(err, f.Close())
	}
	all, err := daysIn(r.dir)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r.file, r.day, r.bytes = f, d, total(all)
	return nil
}

// endLine ends the line that a crash or a full disk has cut, so that it spoils
// no other.
func endLine(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], info.Size()-1); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if last[0] != '\n' {
		_, err = f.Write([]byte{'\n'})
	}
	return err
}

func (r *recording) close() {
	if r.file == nil {
		return
	}
	if err := r.file.Close(); err != nil {
		r.cfg.Log.Warn("a file of the history did not close cleanly", "file", filepath.Base(r.file.Name()), "err", err)
	}
	r.file = nil
}
