package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// windowSize is how far back a packed day refers: a dozen records, and little
// memory on both sides.
const windowSize = 256 << 10

// tidy packs the days of a tenant other than today's, and removes what is too
// much. What cannot be packed stays as it is.
func tidy(dir string, today day, maxDays int, maxBytes int64, byAge bool) error {
	all, err := daysIn(dir)
	if err != nil {
		return err
	}
	for _, f := range all {
		if f.live && f.day != today {
			if e := pack(dir, f); e != nil {
				err = errors.Join(err, fmt.Errorf("cannot compress the history of %s: %w", f.day, e))
			}
		}
	}
	_, e := prune(dir, today, maxDays, maxBytes, byAge)
	return errors.Join(err, e, sweep(dir))
}

// prune removes the days farthest from today until the others are within the
// limits, and says how many bytes are left. Farthest, not earliest: after a
// clock that was years ahead is put right, it is the days to come that go.
// With byAge every day goes that is maxDays away; the number of days has the
// same limit, but is no measure of age when the sidecar did not always run.
func prune(dir string, today day, maxDays int, maxBytes int64, byAge bool) (int64, error) {
	all, err := daysIn(dir)
	if err != nil {
		return 0, err
	}
	for len(all) > 0 {
		at := 0
		if last := len(all) - 1; all[last].day.distance(today) > all[0].day.distance(today) {
			at = last
		}
		far := all[at]
		tooOld := byAge && far.day.distance(today) >= day(maxDays)
		if far.day == today || (len(all) <= maxDays && total(all) <= maxBytes && !tooOld) {
			break
		}
		if err := far.remove(dir); err != nil {
			return total(all), err
		}
		all = append(all[:at], all[at+1:]...)
	}
	return total(all), nil
}

func total(all []files) (n int64) {
	for _, f := range all {
		n += f.bytes
	}
	return n
}

// sweep removes what a crash has left of a packing.
func sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*"+tempExt))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// pack moves a day's lines into its packed file, behind what that has since
// the clock was last on this day.
//
// When it ends between the rename and the removal, the lines are in both files;
// isPacked tells.
func pack(dir string, f files) error {
	path := f.day.packed(dir)
	live, err := os.OpenFile(f.day.live(dir), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { _ = live.Close() }()
	if err := endLine(live); err != nil {
		return err
	}
	var before io.Reader = bytes.NewReader(nil)
	if f.packed {
		packed, err := os.Open(path)
		if err != nil {
			return err
		}
		defer func() { _ = packed.Close() }()
		done, err := isPacked(packed, live)
		if err != nil {
			return err
		}
		if done {
			return os.Remove(live.Name())
		}
		before = packed
	}
	temp := path + tempExt
	if err := writePacked(temp, before, live); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, removeIfThere(temp))
	}
	return os.Remove(live.Name())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// writePacked writes a file of frames: those there are, and one of lines.
// The encoder and its tables are garbage afterwards: they are needed once a day.
func writePacked(path string, frames, lines io.Reader) (err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, frames); err != nil {
		return err
	}
	z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(windowSize), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return err
	}
	_, err = io.Copy(z, lines)
	if err = errors.Join(err, z.Close()); err != nil {
		return err
	}
	return out.Sync()
}

// isPacked says whether the lines of live are at the end of packed: whether
// the last ones are the same, as every record has times of its own. Both are
// at their beginning afterwards.
func isPacked(packed, live *os.File) (bool, error) {
	a, err := lastLine(live)
	if err != nil {
		return false, err
	}
	z, err := unpack(packed)
	if err != nil {
		return false, err
	}
	defer z.Close()
	b, err := lastLine(z)
	if err != nil {
		return false, err
	}
	_, err = packed.Seek(0, io.SeekStart)
	if err == nil {
		_, err = live.Seek(0, io.SeekStart)
	}
	return len(a) > 0 && bytes.Equal(a, b), err
}

// lastLine is the last whole line.
func lastLine(r io.Reader) ([]byte, error) {
	var last []byte
	for line, err := range lines(r) {
		if err != nil && !errors.Is(err, errLong) {
			return nil, err
		}
		last = append(last[:0], line...)
	}
	return last, nil
}

// maxUnpacked is the most that a packed day is unpacked to, in bytes: many
// times what a day can have.
const maxUnpacked = 1 << 30

// unpacked is the content of a packed file.
type unpacked struct {
	*zstd.Decoder
	left int64
}

// unpack reads a packed file in little memory, whoever wrote it.
func unpack(r io.Reader) (*unpacked, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(8<<20))
	return &unpacked{z, maxUnpacked}, err
}

// Read implements io.Reader.
func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.Decoder.Read(p)
	if u.left -= int64(n); u.left < 0 {
		return 0, fmt.Errorf("it holds more than %d bytes", maxUnpacked)
	}
	return n, err
}
