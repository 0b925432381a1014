package history

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-dev/countersign/orchestrator/policy"
)

// days writes two minutes of each day.
func days(w *Writer, tenant string, from time.Time, n int) {
	for i := range n {
		write(w, tenant, ticks(from.AddDate(0, 0, i), 24))
	}
	for _, r := range w.recordings {
		r.flush()
	}
}

func TestDaysAreLimited(t *testing.T) {
	dir := t.TempDir()
	w, _ := writer(t, Config{Dir: dir, MaxDays: 3})
	days(w, "t", epoch, 6)
	if got, want := names(t, filepath.Join(dir, "t")), "2026-11-24.jsonl.zst 2026-11-25.jsonl.zst 2026-11-26.jsonl"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

// TestBytesAreLimited: neither tenant can push out the other's.
func TestBytesAreLimited(t *testing.T) {
	dir := t.TempDir()
	const limit = 32 << 10
	w, log := writer(t, Config{Dir: dir, MaxDays: 1000, MaxBytes: limit})
	days(w, "quiet", epoch, 1)
	for i := range 40 {
		write(w, "busy", ticks(epoch.AddDate(0, 0, i), 24))
		all, err := daysIn(filepath.Join(dir, "busy"))
		if err != nil {
			t.Fatal(err)
		}
		if n := total(all); n > limit {
			t.Fatalf("day %d: %d bytes of %d", i, n, limit)
		}
	}
	if all, _ := daysIn(filepath.Join(dir, "busy")); len(all) < 3 || len(all) == 40 {
		t.Errorf("%d days are left", len(all))
	}
	if got := names(t, filepath.Join(dir, "quiet")); got != "2026-11-21.jsonl" {
		t.Errorf("the other tenant has %s", got)
	}
	if log.Len() > 0 {
		t.Errorf("log: %s", log)
	}
	// A day that has the limit alone is kept as it is.
	write(w, "busy", ticks(epoch.AddDate(0, 0, 40), 12*30))
	w.finish()
	if got := strings.Count(log.String(), "alone take up"); got != 1 {
		t.Errorf("log: %s", log)
	}
	if all, _ := daysIn(filepath.Join(dir, "busy")); len(all) != 1 || total(all) > limit {
		t.Errorf("%+v are left", all)
	}
}

// TestClockThatJumps: years ahead for a while, and back.
func TestClockThatJumps(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "t")
	w, _ := writer(t, Config{Dir: dir, MaxDays: 4})
	days(w, "t", epoch, 3)
	days(w, "t", time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC), 1)
	if got, want := names(t, own), "2026-11-21.jsonl.zst 2026-11-22.jsonl.zst 2026-11-23.jsonl.zst 2099-01-01.jsonl"; got != want {
		t.Fatalf("after the jump: files %s, want %s", got, want)
	}
	days(w, "t", epoch.AddDate(0, 0, 3), 2)
	if got, want := names(t, own), "2026-11-22.jsonl.zst 2026-11-23.jsonl.zst 2026-11-24.jsonl.zst 2026-11-25.jsonl"; got != want {
		t.Errorf("after the clock is right again: files %s, want %s", got, want)
	}
}

// TestOldDaysGo, also those of a tenant that nobody watches anymore.
func TestOldDaysGo(t *testing.T) {
	dir := t.TempDir()
	w, _ := writer(t, Config{Dir: dir, MaxDays: 5})
	days(w, "gone", epoch, 2)
	days(w, "t", epoch, 2)
	w.finish()
	w, _ = writer(t, Config{Dir: dir, MaxDays: 5})
	days(w, "t", epoch.AddDate(0, 0, 10), 1)
	if got := names(t, filepath.Join(dir, "gone")); got != "2026-11-21.jsonl.zst 2026-11-22.jsonl.zst" {
		t.Errorf("at the start: %s", got)
	}
	days(w, "t", epoch.AddDate(0, 0, 11), 1)
	if got := names(t, filepath.Join(dir, "gone")); got != "" {
		t.Errorf("after a midnight: %s", got)
	}
	if got, want := names(t, filepath.Join(dir, "t")), "2026-12-01.jsonl.zst 2026-12-02.jsonl"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

// TestReadWhileWritten reads all the time while days are written and packed:
// what is read is always a begin of what was written.
func TestReadWhileWritten(t *testing.T) {
	dir := t.TempDir()
	w, _ := writer(t, Config{Dir: dir})
	done := make(chan struct{})
	var readers sync.WaitGroup
	readers.Go(func() {
		for seen := 0; ; {
			var last time.Time
			n := 0
			for m, err := range Read(dir, "t", forever.from, forever.to) {
				if err != nil {
					t.Errorf("damage: %v", err)
				}
				for _, tick := range m.Ticks {
					if !tick.Input.Time.After(last) {
						t.Errorf("%s comes after %s", tick.Input.Time, last)
					}
					last = tick.Input.Time
					n++
				}
			}
			if n < seen {
				t.Errorf("%d ticks after %d were there", n, seen)
			}
			seen = n
			select {
			case <-done:
				return
			default:
			}
		}
	})
	days(w, "t", epoch, 12)
	close(done)
	readers.Wait()
	w.finish()
}

func TestRestoreIsWhatWasLearnedLive(t *testing.T) {
	dir := t.TempDir()
	p := policy.Default()
	w, _ := writer(t, Config{Dir: dir})
	// Seven hours, so that the restored ones begin in the middle, with an
	// incident of ten minutes in them.
	var live policy.State
	var now time.Time
	breached := 0
	for i, tick := range ticks(epoch.Add(3*time.Hour), 7*720) {
		if i > 4000 && i < 4120 {
			tick = tickAt(tick.Input.Time, 9000)
		}
		var d policy.Decision
		live, d = policy.Decide(live, tick.Input, p)
		tick.Breached, now = d.Breached, tick.Input.Time
		if d.Breached {
			breached++
		}
		w.Add("t", tick, nil)
		w.take(<-w.queue)
	}
	w.finish()
	got, err := Restore(dir, "t", p, now.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if breached == 0 {
		t.Error("the ten minutes were no incident")
	}
	if len(got.Health.BaselineMS) != p.Health.MaxBaselineTicks || !equal(got.Health.BaselineMS, live.Health.BaselineMS) {
		t.Errorf("the baseline has %d ticks, live it had %d", len(got.Health.BaselineMS), len(live.Health.BaselineMS))
	}
	if !equal(got.Burn, live.Burn[len(live.Burn)-len(got.Burn):]) || len(got.Burn) < 360 {
		t.Errorf("%d minutes for burn rates, live %d", len(got.Burn), len(live.Burn))
	}
	if len(got.Targets) != 0 || got.Service.State != "" || !got.CalmSince.IsZero() {
		t.Errorf("more than what stays true is restored: %+v", got)
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// BenchmarkRestore restores six hours, as a start does.
func BenchmarkRestore(b *testing.B) {
	dir := b.TempDir()
	w := NewWriter(Config{Dir: dir})
	all := ticks(epoch, 6*720)
	write(w, "t", all)
	w.finish()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Restore(dir, "t", policy.Default(), epoch.Add(Lookback)); err != nil {
			b.Fatal(err)
		}
	}
}

func TestRestoreOfDamage(t *testing.T) {
	dir := t.TempDir()
	if s, err := Restore(dir, "t", policy.Default(), epoch); err != nil || s.Health.BaselineMS != nil {
		t.Errorf("of nothing: %+v, %v", s, err)
	}
	w, _ := writer(t, Config{Dir: dir})
	write(w, "t", ticks(epoch, 48))
	w.finish()
	path := dayOf(epoch).live(filepath.Join(dir, "t"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("no record\nnor this\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Restore(dir, "t", policy.Default(), epoch.Add(time.Hour))
	if _, ok := errors.AsType[*Damage](err); !ok || !strings.Contains(err.Error(), "without 2 records") {
		t.Errorf("error %v", err)
	}
	if len(s.Health.BaselineMS) != 48 {
		t.Errorf("the baseline has %d ticks, want 48", len(s.Health.BaselineMS))
	}
	if s, err = Restore(dir, "t", policy.Default(), epoch.Add(7*time.Hour)); err == nil && s.Health.BaselineMS != nil {
		t.Errorf("after seven hours: %d ticks", len(s.Health.BaselineMS))
	}
}

func TestContinue(t *testing.T) {
	s := policy.State{Targets: map[string]policy.Target{"a": {}}, CalmSince: epoch, Burn: []policy.Minute{{Unix: 1}}}
	s.Health.BaselineMS = []float64{1}
	for _, tc := range []struct {
		name           string
		last           time.Time
		after          time.Duration
		targets, learn bool
	}{
		{"before the first tick", time.Time{}, 0, true, true},
		{"the next tick", epoch, Interval, true, true},
		{"a late tick", epoch, pause, true, true},
		{"a pause", epoch, pause + 1, false, true},
		{"a long pause", epoch, Lookback, false, true},
		{"too long", epoch, Lookback + 1, false, false},
		{"the clock was put back", epoch, -time.Hour, true, true},
	} {
		got := Continue(s, tc.last, epoch.Add(tc.after))
		if (len(got.Targets) > 0) != tc.targets || (len(got.Health.BaselineMS) > 0) != tc.learn || (len(got.Burn) > 0) != tc.learn {
			t.Errorf("%s: %+v", tc.name, got)
		}
	}
}

// TestUnpackedIsLimited: a small file cannot keep a reader busy for long.
func TestUnpackedIsLimited(t *testing.T) {
	var packed bytes.Buffer
	z, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for left, want := range map[int64]bool{100: true, 99: false} {
		u, err := unpack(bytes.NewReader(packed.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		u.left = left
		if _, err := io.ReadAll(u); (err == nil) != want {
			t.Errorf("100 bytes of at most %d: %v", left, err)
		}
		u.Close()
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	w := NewWriter(Config{Dir: dir})
	write(w, "t", ticks(epoch, 2))
	write(w, "t", ticks(epoch.Add(24*time.Hour), 1))
	w.finish()
	own := filepath.Join(dir, "t")
	for _, path := range []string{dayOf(epoch).packed(own), dayOf(epoch.Add(24 * time.Hour)).live(own)} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, strings.HasSuffix(path, packedExt))
	}
	f.Add([]byte("{\"v\":1,\"start\":\"2026-11-21T12:00:00Z\",\"ticks\":[{}]}\n\n{"), false)
	f.Fuzz(func(t *testing.T, data []byte, packed bool) {
		if len(data) > 4<<10 {
			t.Skip("a long file takes long, and has no more cases")
		}
		own := t.TempDir()
		path := dayOf(epoch).live(own)
		if packed {
			path = dayOf(epoch).packed(own)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		from, to := epoch.Add(-12*time.Hour), epoch.Add(12*time.Hour)
		for m, err := range Read(filepath.Dir(own), filepath.Base(own), from, to) {
			if err != nil {
				if _, ok := errors.AsType[*Damage](err); !ok {
					t.Fatalf("%v is no damage", err)
				}
				continue
			}
			if len(m.Ticks) == 0 || len(m.Ticks) > maxTicks {
				t.Fatalf("a minute of %d ticks", len(m.Ticks))
			}
			for _, tick := range m.Ticks {
				if at := tick.Input.Time; at.Before(from) || !at.Before(to) || !minuteOf(at).Equal(m.Start) {
					t.Fatalf("a tick of %s in the minute %s", at, m.Start)
				}
			}
		}
	})
}
