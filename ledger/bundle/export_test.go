package bundle

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
)

func TestExportIsIncremental(t *testing.T) {
	l := logtest.New(t, "log")
	dir := filepath.Join(t.TempDir(), "bundle")
	before := 0
	for _, size := range []int{1, 2, 255, 256, 257, 300, 512, 700, 700} {
		l.GrowTo(uint64(size), "entry")
		var last uint64
		r, err := Export(t.Context(), l, dir, func(done, total uint64) {
			if last = done; total != uint64(size) {
				t.Errorf("progress to %d of %d", done, total)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Size != uint64(size) || r.NewEntries != uint64(size-before) || r.Origin != logtest.Origin || r.Blobs != l.Blobs() || last != uint64(size) {
			t.Errorf("at %d: %+v, progress to %d", size, r, last)
		}
		if size == before && (r.Files != 0 || r.Bytes != 0) {
			t.Errorf("%d files, %d bytes, though nothing is new", r.Files, r.Bytes)
		}
		sound(t, dir, l)
		asked := l.Requests()
		for path, n := range asked {
			if n > 1 {
				t.Errorf("at %d: %s was fetched %d times", size, path, n)
			}
		}
		if size == 257 && asked[verify.EntriesPath(0, 256)] > 0 {
			t.Error("what was there is fetched again")
		}
		before = size
	}
}

func TestExportBesideAGrowingLog(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(600, "entry")
	l.Spoil(func(path string, data []byte) ([]byte, error) {
		if path == verify.CheckpointPath && l.Size() < 1100 {
			l.GrowTo(1100, "entry")
		}
		return data, nil
	})
	dir := filepath.Join(t.TempDir(), "bundle")
	if r, err := Export(t.Context(), l, dir, nil); err != nil || r.Size != 600 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r := verified(t, dir, l); r.Code != verify.Verified || r.Size != 600 {
		t.Errorf("%s of %d entries: %+v", r.Verdict, r.Size, r.Problem)
	}
	if r, err := Export(t.Context(), l, dir, nil); err != nil || r.Size != 1100 || r.NewEntries != 500 {
		t.Fatalf("%+v, %v", r, err)
	}
	sound(t, dir, l)
}

func TestWitnessedCheckpointsAreExported(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+10, "entry")
	l.Witness()
	l.GrowTo(l.Size()+10, "entry")
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, l)
}

func TestAnInterruptedExportGoesOn(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+2000, "entry")
	dir := filepath.Join(t.TempDir(), "bundle")
	for limit := int64(3); limit < 12; limit += 4 {
		ctx, cancel := context.WithCancel(t.Context())
		var n atomic.Int64
		l.Spoil(func(path string, data []byte) ([]byte, error) {
			if n.Add(1) == limit {
				cancel()
			}
			return data, nil
		})
		_, err := Export(ctx, l, dir, nil)
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
			t.Fatalf("after %d files: %v", limit, err)
		}
		if len(l.Requests()) < 3 {
			t.Error("nothing was fetched")
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the directory is there: %v", err)
		}
		l.GrowTo(l.Size()+300, "entry") // so that a partial tile that was fetched is none any more
	}
	l.Spoil(nil)
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	if all, files := len(l.Requests()), len(l.Files()); all >= files {
		t.Errorf("all %d files were fetched anew in %d requests", files, all)
	}
	sound(t, dir, l)
}

func TestWhatAnInterruptedExportOfAnotherLogLeftIsNotUsed(t *testing.T) {
	other := logtest.New(t, "other")
	other.GrowTo(other.Size()+1000, "other")
	dir := filepath.Join(t.TempDir(), "bundle")
	other.Spoil(func(path string, data []byte) ([]byte, error) {
		if strings.HasPrefix(path, "blob/") {
			return nil, errors.New("unreachable")
		}
		return data, nil
	})
	if _, err := Export(t.Context(), other, dir, nil); err == nil || !strings.Contains(err.Error(), "does not verify: INCOMPLETE") {
		t.Fatalf("%v", err)
	}
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+900, "entry")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, l)
}

func TestALogThatDoesNotVerifyIsNotExported(t *testing.T) {
	for name, c := range map[string]struct {
		prefix string
		change func([]byte) []byte
		code   verify.Code
	}{
		"tile":       {"tile/0/", func(b []byte) []byte { b[40] ^= 1; return b }, verify.Tampered},
		"entries":    {"tile/entries/", func(b []byte) []byte { b[40] ^= 1; return b }, verify.Tampered},
		"short":      {"tile/entries/", func(b []byte) []byte { return b[:len(b)-1] }, verify.Tampered},
		"blob":       {"blob/", func(b []byte) []byte { b[0] ^= 1; return b }, verify.Tampered},
		"checkpoint": {"checkpoint", func(b []byte) []byte { return []byte(strings.Replace(string(b), "\n801\n", "\n800\n", 1)) }, verify.Tampered},
	} {
		t.Run(name, func(t *testing.T) {
			l := logtest.New(t, "log")
			l.GrowTo(l.Size()+500, "entry")
			dir := filepath.Join(t.TempDir(), "bundle")
			if _, err := Export(t.Context(), l, dir, nil); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			l.GrowTo(l.Size()+300, "entry")
			l.Spoil(func(path string, data []byte) ([]byte, error) {
				if strings.HasPrefix(path, c.prefix) && path != verify.WitnessedPath {
					return c.change(slices.Clone(data)), nil
				}
				return data, nil
			})
			_, err := Export(t.Context(), l, dir, nil)
			failed, ok := errors.AsType[*VerifyError](err)
			if !ok || failed.Report.Code != c.code || failed.Bundle != "" {
				t.Fatalf("%v", err)
			}
			if !maps.Equal(before, snapshot(t, dir)) {
				t.Error("the bundle has changed")
			}
			nothingBeside(t, dir)
			l.Spoil(nil)
			if _, err := Export(t.Context(), l, dir, nil); err != nil {
				t.Fatal(err)
			}
			sound(t, dir, l)
		})
	}
}

func TestRollbacksAreRefused(t *testing.T) {
	for name, make := range map[string]func(*logtest.Log){
		"fewer entries":    func(l *logtest.Log) { l.GrowTo(l.Size()+400, "entry") },
		"as many":          func(l *logtest.Log) { l.GrowTo(l.Size()+500, "other") },
		"more, but others": func(l *logtest.Log) { l.GrowTo(l.Size()+900, "other") },
		"more, with another key": func(l *logtest.Log) {
			l.GrowTo(51, "entry")
			l.Rotate("second")
			l.GrowTo(l.Size()+900, "other")
		},
		"more, after a while others": func(l *logtest.Log) {
			l.GrowTo(l.Size()+450, "entry")
			l.GrowTo(l.Size()+450, "other")
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, other := logtest.New(t, "log"), logtest.New(t, "log")
			l.GrowTo(l.Size()+500, "entry")
			make(other)
			dir := filepath.Join(t.TempDir(), "bundle")
			if _, err := Export(t.Context(), l, dir, nil); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			_, err := Export(t.Context(), other, dir, nil)
			if rollback, ok := errors.AsType[*RollbackError](err); !ok || rollback.Old != 501 || rollback.New != other.Size() {
				t.Fatalf("%v", err)
			}
			if !maps.Equal(before, snapshot(t, dir)) {
				t.Error("the bundle has changed")
			}
			nothingBeside(t, dir)
		})
	}
}

func TestAnAlteredBundleIsNotContinued(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+500, "entry")
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, verify.EntriesPath(0, 256))
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[100] ^= 1
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
	l.GrowTo(l.Size()+1, "entry")
	_, err = Export(t.Context(), l, dir, nil)
	if failed, ok := errors.AsType[*VerifyError](err); !ok || failed.Bundle != dir || !strings.Contains(err.Error(), "remove it and export again: TAMPERED: tile/entries/000") {
		t.Fatalf("%v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, l)
}

func TestACrashWhileFilesArePutInPlaceIsMended(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+300, "entry")
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	old := snapshot(t, dir)
	l.GrowTo(l.Size()+300, "entry")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	// As if the machine had stopped before the checkpoint was put in place.
	for path, data := range old {
		if path == verify.CheckpointPath || strings.Contains(path, ".p/") {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, path), []byte(data), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.Requests()
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	if asked := l.Requests(); len(asked) != 2 {
		t.Errorf("fetched %v", asked)
	}
	sound(t, dir, l)
}

// TestADiskThatTakesNoMore has a file where a directory would have to be made:
// like a full disk it fails in the middle of fetching.
func TestADiskThatTakesNoMore(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	l.GrowTo(700, "entry")
	staged := filepath.Join(filepath.Dir(dir), ".bundle.export", stagedName)
	l.Spoil(func(path string, data []byte) ([]byte, error) {
		if strings.HasPrefix(path, "blob/") {
			if err := os.WriteFile(filepath.Join(staged, "blob"), nil, 0o600); err != nil {
				t.Error(err)
			}
		}
		return data, nil
	})
	_, err := Export(t.Context(), l, dir, nil)
	if !errors.Is(err, unix.ENOTDIR) || !strings.HasPrefix(err.Error(), "cannot write what was fetched: ") {
		t.Errorf("%v", err)
	}
	if !maps.Equal(before, snapshot(t, dir)) {
		t.Error("the bundle has changed")
	}
	nothingBeside(t, dir)
	l.Spoil(nil)
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, l)
}

func TestARotatedLogIsExported(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	dir := filepath.Join(t.TempDir(), "bundle")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	l.Rotate("second")
	l.GrowTo(600, "entry")
	l.Rotate("third")
	if _, err := Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	sound(t, dir, l)
}
