package ledger

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// openCopy copies a store and opens the copy.
func openCopy(t testing.TB, dir string) *Copy {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := CopyStore(t.Context(), dir, to, nil); err != nil {
		t.Fatal(err)
	}
	c, err := OpenCopy(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestCopyServesWhatTheLogServes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := newStoredIn(t, badgerOptions(dir, slog.New(slog.DiscardHandler)), 600)
	paths := []string{"/checkpoint", "/tile/0/000", "/tile/0/002.p/88", "/tile/1/000.p/2", "/tile/entries/001", "/blob/" + sumOf(testBlob(35)),
		"/tile/0/002.p/89", "/tile/2/000.p/1", "/checkpoint.witnessed", "/blob/" + sumOf(nil)}
	type answer struct {
		status int
		body   string
	}
	want := map[string]answer{}
	for _, path := range paths {
		r := get(t, s.Handler(), path)
		want[path] = answer{r.StatusCode, string(body(t, r))}
	}
	s.close(t)
	h := openCopy(t, dir).Handler()
	for _, path := range paths {
		r := get(t, h, path)
		got := answer{r.StatusCode, string(body(t, r))}
		if got.status != want[path].status || got.status == 200 && got.body != want[path].body {
			t.Errorf("%s: %d with %d bytes, the log gave %d with %d", path, got.status, len(got.body), want[path].status, len(want[path].body))
		}
	}
}

// TestOpenCopyOfKilledLog copies the files of a store that is open, as they are after kill -9.
func TestOpenCopyOfKilledLog(t *testing.T) {
	dir, to := filepath.Join(t.TempDir(), "store"), t.TempDir()
	newStoredIn(t, badgerOptions(dir, slog.New(slog.DiscardHandler)), 600)
	for _, name := range names(t, dir) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := openCopy(t, to)
	if err := c.Audit(t.Context()); err != nil {
		t.Error(err)
	}
	if r := get(t, c.Handler(), "/tile/0/002.p/88"); r.StatusCode != 200 {
		t.Error(r.Status)
	}
}

// TestCopyServesRowsAsTheyAre checks that a copy neither mends nor refuses what is wrong: the verifier has to see it.
func TestCopyServesRowsAsTheyAre(t *testing.T) {
	dir, s := storeDir(t, 600)
	c := openCopy(t, dir)
	val, err := c.rows.get(keyLeaf(3))
	if err != nil {
		t.Fatal(err)
	}
	blob := testBlob(5)
	set := func(key, val []byte) { setRow(t, c.rows.db, key, val) }
	set(keyLeaf(3), append(bytes.Repeat([]byte{1}, 32), val[32:]...))
	set(keyLeaf(300), val[:10])
	set(keyLeaf(512), nil)
	set(keyNode(1, 1), make([]byte, 40))
	set(append([]byte("b"), decode(t, sumOf(blob))...), []byte("short"))
	set(append([]byte("b"), decode(t, sumOf(testBlob(35)))...), append(make([]byte, 8), "other"...))

	for path, want := range map[string]struct {
		status, length int
		has            string
	}{
		"/tile/0/000":                      {200, 8192, strings.Repeat("\x01", 32)},
		"/tile/entries/000":                {200, -1, string(s.leaves[3])},
		"/tile/0/001":                      {200, 8192 - 22, ""},
		"/tile/entries/001":                {200, -1, "\x00\x00"},
		"/tile/0/002.p/88":                 {404, -1, "entry 512 has no row"},
		"/tile/entries/002.p/88":           {404, -1, "entry 512 has no row"},
		"/tile/1/000.p/2":                  {200, 65, ""},
		"/blob/" + sumOf(blob):             {200, 0, ""},
		"/blob/" + sumOf(testBlob(35)):     {200, 5, "other"},
		"/blob/" + sumOf([]byte("absent")): {404, -1, "not in the ledger"},
	} {
		r := get(t, c.Handler(), path)
		data := body(t, r)
		if r.StatusCode != want.status || want.length >= 0 && len(data) != want.length || !strings.Contains(string(data), want.has) {
			t.Errorf("%s: %s with %d bytes, want %+v", path, r.Status, len(data), want)
		}
	}
}

func decode(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCopyWithoutHead(t *testing.T) {
	for name, head := range map[string][]byte{"absent": nil, "no checkpoint": []byte("x\n")} {
		dir, _ := storeDir(t, 10)
		c := openCopy(t, dir)
		setRow(t, c.rows.db, keyHead, head)
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := OpenCopy(c.rows.db.Opts().Dir)
		if err != nil {
			t.Fatalf("head %s: %v", name, err)
		}
		want := http.StatusOK
		if head == nil {
			want = http.StatusNotFound
		}
		if r := get(t, again.Handler(), "/checkpoint"); r.StatusCode != want || want == 200 && !bytes.Equal(body(t, r), head) {
			t.Errorf("head %s: %s", name, r.Status)
		}
		if r := get(t, again.Handler(), "/tile/0/000.p/1"); r.StatusCode != http.StatusNotFound {
			t.Errorf("tile without a head %s: %s", name, r.Status)
		}
		wantDamage(t, again.Audit(t.Context()), -1)
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenCopyRefused(t *testing.T) {
	dir, _ := storeDir(t, 600)
	flip := func(glob string) func(string) error {
		return func(dir string) error {
			files, err := filepath.Glob(filepath.Join(dir, glob))
			if err != nil || len(files) == 0 {
				return errors.Join(err, errors.New("no file "+glob))
			}
			data, err := os.ReadFile(files[0])
			if err != nil {
				return err
			}
			data[len(data)/2] ^= 0x10
			return os.WriteFile(files[0], data, 0o600)
		}
	}
	for name, test := range map[string]struct {
		prepare func(dir string) error
		damage  bool
	}{
		"no store":       {func(dir string) error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o700)) }, true},
		"no manifest":    {func(dir string) error { return os.Remove(filepath.Join(dir, "MANIFEST")) }, true},
		"empty manifest": {func(dir string) error { return os.Truncate(filepath.Join(dir, "MANIFEST"), 0) }, true},
		"table changed":  {flip("*.sst"), true},
		"table absent": {func(dir string) error {
			files, err := filepath.Glob(filepath.Join(dir, "*.sst"))
			return errors.Join(err, os.Remove(files[0]))
		}, true},
		"absent": {os.RemoveAll, false},
		"a file": {func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }, false},
		"a link": {func(dir string) error { return os.Symlink("/etc/hostname", filepath.Join(dir, "000099.sst")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "copy")
			if err := CopyStore(t.Context(), dir, to, nil); err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(to); err != nil {
				t.Fatal(err)
			}
			c, err := OpenCopy(to)
			if err == nil {
				c.Close()
				t.Fatal("it was opened")
			}
			var damaged *IntegrityError
			if errors.As(err, &damaged) != test.damage {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestCopyOfLargeLogIsWhole(t *testing.T) {
	dir, s := storeDir(t, 5000)
	h := openCopy(t, dir).Handler()
	r := get(t, h, "/tile/entries/019.p/136", "Accept-Encoding", "identity")
	data, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasSuffix(string(data), string(s.leaves[4999])) {
		t.Errorf("%s, %v", r.Status, err)
	}
}
