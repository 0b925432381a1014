package history

import (
	"cmp"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// day counts days in UTC from the unix epoch, one more, so that 0 is none.
type day int64

func dayOf(t time.Time) day {
	seconds := t.Unix()
	d := seconds / 86400
	if seconds%86400 < 0 {
		d--
	}
	return day(d + 1)
}

func (d day) String() string { return time.Unix(int64(d-1)*86400, 0).UTC().Format(time.DateOnly) }

func parseDay(name string) (day, bool) {
	t, err := time.Parse(time.DateOnly, name)
	return dayOf(t), err == nil
}

func (d day) distance(o day) day { return max(d-o, o-d) }

// The extensions of a day's two files.
const (
	liveExt   = ".jsonl"
	packedExt = ".jsonl.zst"
	tempExt   = ".tmp"
)

func (d day) live(dir string) string   { return filepath.Join(dir, d.String()+liveExt) }
func (d day) packed(dir string) string { return filepath.Join(dir, d.String()+packedExt) }

// files is what there is of a day.
type files struct {
	day          day
	live, packed bool
	bytes        int64
}

// daysIn lists a tenant's days, the earliest first. There are none in a
// directory that is not there.
func daysIn(dir string) ([]files, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byDay := map[day]files{}
	for _, e := range entries {
		name, live := strings.CutSuffix(e.Name(), liveExt)
		name, packed := strings.CutSuffix(name, packedExt)
		d, ok := parseDay(name)
		if !ok || live == packed {
			continue
		}
		f := byDay[d]
		f.day, f.live, f.packed = d, f.live || live, f.packed || packed
		// A file that is gone has just been packed: the day is still there.
		if info, err := e.Info(); err == nil {
			f.bytes += info.Size()
		}
		byDay[d] = f
	}
	all := make([]files, 0, len(byDay))
	for _, f := range byDay {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b files) int { return cmp.Compare(a.day, b.day) })
	return all, nil
}

// remove deletes both files of a day.
func (f files) remove(dir string) error {
	var err error
	for _, path := range []string{f.day.live(dir), f.day.packed(dir)} {
		if e := os.Remove(path); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// tenantDir is where a tenant's history is, whatever the tenant's name.
func tenantDir(dir, tenant string) string {
	name := url.PathEscape(tenant)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return filepath.Join(dir, name)
}

// Tenants lists whose history there is, by name.
func Tenants(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		name, err := url.PathUnescape(e.Name())
		if err == nil && e.IsDir() && filepath.Base(tenantDir(dir, name)) == e.Name() {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all, nil
}
