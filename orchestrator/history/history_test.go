package history

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/histogram"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/policy"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 2, 0, time.UTC)

// forever is a period that everything lies in.
var forever = struct{ from, to time.Time }{time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}

// tickAt is a tick of a service that answers in so many milliseconds.
func tickAt(at time.Time, p95 float64) Tick {
	w := health.WindowFigures{SpanSeconds: 60, P95MS: &p95, P50MS: &p95, P99MS: &p95, MaxMS: &p95, Samples: 600, Requests: 600, Seen: 600}
	return Tick{
		Input: policy.Input{Time: at, Measurement: health.Measurement{
			UnixMilli: at.UnixMilli(), Window: w,
			Tick: health.Tick{UnixMilli: at.UnixMilli(), Samples: 50, Requests: 50, P95MS: p95, MaxMS: p95},
		}},
		PolicyDigest: "sha256:ab",
	}
}

// ticks are n of them, from a time on.
func ticks(from time.Time, n int) []Tick {
	all := make([]Tick, n)
	for i := range all {
		all[i] = tickAt(from.Add(time.Duration(i)*Interval), 100+float64(i%7))
	}
	return all
}

func latencies() *histogram.Counts {
	var c histogram.Counts
	for i := range 100 {
		c.Add(int64(i)*int64(time.Millisecond), 6)
	}
	return &c
}

// writer is one whose log can be read.
func writer(t *testing.T, cfg Config) (*Writer, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	return NewWriter(cfg), &log
}

// write gives a tenant's ticks to w as Run does, and ends it when it is to.
func write(w *Writer, tenant string, all []Tick) {
	for _, tick := range all {
		w.Add(tenant, tick, latencies)
		w.take(<-w.queue)
	}
}

// collect reads everything and says what is damaged.
func collect(t *testing.T, dir, tenant string) (all []Tick, damage []string) {
	t.Helper()
	for m, err := range Read(dir, tenant, forever.from, forever.to) {
		if err != nil {
			damage = append(damage, err.Error())
			continue
		}
		all = append(all, m.Ticks...)
	}
	return all, damage
}

func mustEqual(t *testing.T, what string, got, want []Tick) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d ticks, want %d", what, len(got), len(want))
	}
	for i := range got {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("%s: tick %d is\n%+v, want\n%+v", what, i, got[i], want[i])
		}
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func TestWhatWasAddedIsRead(t *testing.T) {
	dir := t.TempDir()
	w, log := writer(t, Config{Dir: dir})
	// Over two midnights, two tenants one after another in each tick.
	a, b := ticks(time.Date(2026, 11, 20, 23, 58, 3, 0, time.UTC), 60), ticks(time.Date(2026, 11, 20, 23, 58, 4, 0, time.UTC), 60)
	later := ticks(time.Date(2026, 11, 21, 23, 59, 1, 0, time.UTC), 24)
	a, b = append(a, later...), append(b, later...)
	a[3].Breached, a[3].IncidentID = true, "inc-000001-1"
	a[4].Input.Checks = []policy.CheckResult{{Target: "db", Time: a[4].Input.Time, Reason: "refused", LatencyMS: 1.5}}
	b[5].Input.Reported = &policy.Reported{Status: health.Critical, Score: 12}
	for i := range a {
		w.Add("shop", a[i], latencies)
		w.Add("../other", b[i], nil)
		w.take(<-w.queue)
		w.take(<-w.queue)
	}
	w.finish()

	for tenant, want := range map[string][]Tick{"shop": a, "../other": b} {
		got, damage := collect(t, dir, tenant)
		mustEqual(t, tenant, got, want)
		if damage != nil {
			t.Errorf("%s: %q", tenant, damage)
		}
	}
	want := "2026-11-20.jsonl.zst 2026-11-21.jsonl.zst 2026-11-22.jsonl"
	if got := names(t, filepath.Join(dir, "shop")); got != want {
		t.Errorf("files %s, want %s", got, want)
	}
	if tenants, err := Tenants(dir); err != nil || fmt.Sprint(tenants) != "[../other shop]" {
		t.Errorf("tenants %q, %v", tenants, err)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
	for m, err := range Read(dir, "shop", a[0].Input.Time, a[1].Input.Time) {
		counts, decodeErr := histogram.DecodeV2(m.Durations)
		if err != nil || decodeErr != nil || counts.Total() != 600 || len(m.Ticks) != 1 {
			t.Errorf("the first minute: %v, %v, %+v", err, decodeErr, m)
		}
	}
}

func TestPeriodIsExact(t *testing.T) {
	dir := t.TempDir()
	w, _ := writer(t, Config{Dir: dir})
	all := ticks(epoch, 100)
	write(w, "t", all)
	w.finish()
	for _, tc := range []struct{ from, to int }{{0, 100}, {0, 0}, {5, 6}, {11, 13}, {99, 100}, {30, 70}} {
		to := epoch.Add(time.Duration(tc.to) * Interval)
		var got []Tick
		for m, err := range Read(dir, "t", epoch.Add(time.Duration(tc.from)*Interval), to) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, m.Ticks...)
		}
		mustEqual(t, fmt.Sprint(tc), got, all[tc.from:tc.to])
	}
	for range Read(filepath.Join(dir, "none"), "t", forever.from, forever.to) {
		t.Error("something was read where nothing is")
	}
}

// TestRunEndsWithWhatIsThere: the end of the context loses nothing, and a full
// queue loses ticks and no time.
func TestRunEndsWithWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	w, log := writer(t, Config{Dir: dir})
	all := ticks(epoch, queued+10)
	for _, tick := range all {
		w.Add("t", tick, nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	got, _ := collect(t, dir, "t")
	mustEqual(t, "after the end", got, all[:queued])
	if got := strings.Count(log.String(), "too slow"); got != 1 || !strings.Contains(log.String(), "ticks=10") {
		t.Errorf("log: %s", log)
	}
}

func TestPanicIsContained(t *testing.T) {
	w, log := writer(t, Config{Dir: t.TempDir()})
	w.contain(func() { panic("broken") })
	if !strings.Contains(log.String(), "panic: broken") {
		t.Errorf("log: %s", log)
	}
}

func TestCutLine(t *testing.T) {
	dir := t.TempDir()
	all := ticks(epoch, 48)
	w, _ := writer(t, Config{Dir: dir})
	write(w, "t", all[:24])
	w.finish()
	path := dayOf(epoch).live(filepath.Join(dir, "t"))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text[:len(text)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	// It may be the line that is just being written: no damage.
	got, damage := collect(t, dir, "t")
	if len(damage) != 0 || len(got) >= 24 || len(got) < 12 {
		t.Fatalf("%d ticks, damage %q", len(got), damage)
	}
	before := len(got)
	w, _ = writer(t, Config{Dir: dir})
	write(w, "t", all[24:])
	w.finish()
	got, damage = collect(t, dir, "t")
	if len(damage) != 1 || !strings.Contains(damage[0], "2026-11-21.jsonl, line ") {
		t.Errorf("damage %q", damage)
	}
	mustEqual(t, "after the next start", got[before:], all[24:])
}

func TestDamageIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	w, _ := writer(t, Config{Dir: dir})
	all := ticks(time.Date(2026, 11, 20, 23, 50, 1, 0, time.UTC), 240)
	write(w, "t", all)
	w.finish()
	own := filepath.Join(dir, "t")
	packed := dayOf(all[0].Input.Time).packed(own)
	data, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0x40
	if err := os.WriteFile(packed, data, 0o600); err != nil {
		t.Fatal(err)
	}
	live := dayOf(all[239].Input.Time).live(own)
	text, err := os.ReadFile(live)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	lines[1] = "{\"v\":1,\"start\":\n"
	lines[3] = strings.Replace(lines[3], `"v":1`, `"v":2`, 1)
	lines[5] = strings.Repeat("x", maxLine+100) + "\n"
	if err := os.WriteFile(live, []byte(strings.Join(lines, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	got, damage := collect(t, dir, "t")
	for n, want := range []string{"2026-11-20.jsonl.zst", "2026-11-21.jsonl, line 2: ", "line 4: it is of version 2", "line 6: it has more than"} {
		if n >= len(damage) || !strings.Contains(damage[n], want) {
			t.Fatalf("damage %q, want %q as number %d", damage, want, n)
		}
	}
	if len(damage) != 4 || len(got) < 120-3*12 {
		t.Errorf("%d ticks and damage %q", len(got), damage)
	}
}

// TestClockPutBack records a day again that was packed already.
func TestClockPutBack(t *testing.T) {
	dir := t.TempDir()
	w, log := writer(t, Config{Dir: dir})
	evening := time.Date(2026, 11, 20, 23, 59, 2, 0, time.UTC)
	var want []Tick
	for _, from := range []time.Time{evening, evening.Add(time.Minute), evening.Add(-10 * time.Minute), evening.Add(2 * time.Minute)} {
		part := ticks(from, 12)
		write(w, "t", part)
		want = append(want, part...)
	}
	w.finish()
	got, damage := collect(t, dir, "t")
	// The packed day is one file, so that its two parts come first.
	mustEqual(t, "read", got, append(append(append([]Tick{}, want[:12]...), want[24:36]...), append(want[12:24:24], want[36:]...)...))
	if damage != nil || log.Len() > 0 {
		t.Errorf("damage %q, log %s", damage, log)
	}
	if got, want := names(t, filepath.Join(dir, "t")), "2026-11-20.jsonl.zst 2026-11-21.jsonl 2026-11-21.jsonl.zst"; got != want {
		t.Errorf("files %s, want %s", got, want)
	}
}

// TestCrashWhilePacking leaves what each moment of a packing can leave.
func TestCrashWhilePacking(t *testing.T) {
	day := dayOf(epoch)
	for _, tc := range []struct {
		name  string
		crash func(dir string, line []byte) error
	}{
		{"before the rename", func(dir string, lines []byte) error {
			if err := os.Remove(day.packed(dir)); err != nil {
				return err
			}
			if err := os.WriteFile(day.packed(dir)+tempExt, []byte("half of it"), 0o600); err != nil {
				return err
			}
			return os.WriteFile(day.live(dir), lines, 0o600)
		}},
		{"before the removal", func(dir string, lines []byte) error { return os.WriteFile(day.live(dir), lines, 0o600) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			own := filepath.Join(dir, "t")
			w, _ := writer(t, Config{Dir: dir})
			all := ticks(epoch, 36)
			write(w, "t", all)
			w.finish()
			lines, err := os.ReadFile(day.live(own))
			if err != nil {
				t.Fatal(err)
			}
			next := ticks(epoch.Add(24*time.Hour), 12)
			write(w, "t", next)
			w.finish()
			if err := tc.crash(own, lines); err != nil {
				t.Fatal(err)
			}
			all = append(all, next...)
			got, _ := collect(t, dir, "t")
			mustEqual(t, "after the crash", got, all)

			w, log := writer(t, Config{Dir: dir})
			more := ticks(epoch.Add(25*time.Hour), 12)
			write(w, "t", more)
			w.finish()
			all = append(all, more...)
			got, damage := collect(t, dir, "t")
			mustEqual(t, "after the next start", got, all)
			if damage != nil || log.Len() > 0 {
				t.Errorf("damage %q, log %s", damage, log)
			}
			if got, want := names(t, own), "2026-11-21.jsonl.zst 2026-11-22.jsonl"; got != want {
				t.Errorf("files %s, want %s", got, want)
			}
		})
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "t")
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	live := dayOf(epoch).live(own)
	if err := os.Symlink("/dev/full", live); err != nil {
		t.Fatal(err)
	}
	w, log := writer(t, Config{Dir: dir})
	all := ticks(epoch, 120)
	write(w, "t", all[:61]) // five minutes are written when the sixth begins
	if got := strings.Count(log.String(), "level=ERROR"); got != 1 || !strings.Contains(log.String(), "no space left") {
		t.Fatalf("log: %s", log)
	}
	if err := os.Remove(live); err != nil {
		t.Fatal(err)
	}
	write(w, "t", all[61:])
	w.finish()
	got, damage := collect(t, dir, "t")
	if mustEqual(t, "after the disk was full", got, all[60:]); damage != nil {
		t.Errorf("damage %q", damage)
	}
	if !strings.Contains(log.String(), "recorded again") || !strings.Contains(log.String(), "lost_records=5") {
		t.Errorf("log: %s", log)
	}
}
