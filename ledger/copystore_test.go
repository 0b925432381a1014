package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// storeDir writes a store of n entries to a directory and closes it.
func storeDir(t testing.TB, n int) (string, *stored) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	s := newStoredIn(t, badgerOptions(dir, slog.New(slog.DiscardHandler)), n)
	if err := s.rows.db.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, s
}

// listing describes what is in a directory, byte for byte.
func listing(t testing.TB, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %d %x %s %s\n", file.Name(), len(data), sha256.Sum256(data), info.Mode(), info.ModTime())
	}
	return text.String()
}

func TestCopyStore(t *testing.T) {
	dir, _ := storeDir(t, 600)
	if err := os.WriteFile(filepath.Join(dir, "LOCK"), []byte("1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, dir)
	to := filepath.Join(t.TempDir(), "a", "copy")
	var done, total int64
	err := CopyStore(t.Context(), dir, to, func(d, n int64) {
		if d < done {
			t.Errorf("progress goes back from %d to %d", done, d)
		}
		done, total = d, n
	})
	if err != nil {
		t.Fatal(err)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("the original was\n%s and is\n%s", before, after)
	}
	size := int64(0)
	for _, name := range names(t, dir) {
		if name == "LOCK" {
			continue
		}
		from, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		copied, err := os.ReadFile(filepath.Join(to, name))
		if err != nil || !bytes.Equal(from, copied) {
			t.Errorf("%s: the copy differs: %v", name, err)
		}
		size += int64(len(from))
	}
	if got, want := len(names(t, to)), len(names(t, dir))-1; got != want {
		t.Errorf("the copy has %d files, want %d", got, want)
	}
	if done != size || total != size {
		t.Errorf("progress ended at %d of %d, want %d", done, total, size)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the copy's directory: %v, %v", info.Mode(), err)
	}
}

func names(t testing.TB, dir string) (list []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		list = append(list, file.Name())
	}
	return list
}

// TestCopyStoreSparse copies files with holes at every place and compares contents and blocks used.
func TestCopyStoreSparse(t *testing.T) {
	const hole, data = 1 << 20, 64 << 10
	for name, layout := range map[string][]int{ // positive: data; negative: a hole
		"empty":            {},
		"only data":        {data},
		"only a hole":      {-hole},
		"hole at the end":  {data, -hole},
		"hole at the head": {-hole, data},
		"between":          {data, -hole, data, -hole, data},
		"odd sizes":        {4097, -hole, 1, -hole, 5},
	} {
		t.Run(name, func(t *testing.T) {
			dir, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
			path := filepath.Join(dir, "00001.mem")
			f, err := os.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			at := int64(0)
			for _, n := range layout {
				if n < 0 {
					at -= int64(n)
					continue
				}
				if _, err := f.WriteAt(bytes.Repeat([]byte{byte(n), 7}, n)[:n], at); err != nil {
					t.Fatal(err)
				}
				at += int64(n)
			}
			if err := errors.Join(f.Truncate(at), f.Sync(), f.Close()); err != nil {
				t.Fatal(err)
			}
			if err := CopyStore(t.Context(), dir, to, nil); err != nil {
				t.Fatal(err)
			}
			from, err1 := os.ReadFile(path)
			copied, err2 := os.ReadFile(filepath.Join(to, "00001.mem"))
			if err1 != nil || err2 != nil || !bytes.Equal(from, copied) {
				t.Errorf("the copy differs: %v, %v", err1, err2)
			}
			if used, want := blocks(t, filepath.Join(to, "00001.mem")), blocks(t, path); used > want {
				t.Errorf("the copy takes %d blocks, the original %d", used, want)
			}
		})
	}
}

func blocks(t testing.TB, path string) int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // until then a file system may not say what it will use
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks
}

func TestCopyStoreLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := newStoredIn(t, badgerOptions(dir, slog.New(slog.DiscardHandler)), 10)
	to := filepath.Join(t.TempDir(), "copy")
	if err := CopyStore(t.Context(), dir, to, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("a store in use: %v, want ErrLocked", err)
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made for the copy: %v", err)
	}
	if _, err := OpenCopy(dir); !errors.Is(err, ErrLocked) {
		t.Errorf("opening a store in use: %v, want ErrLocked", err)
	}
	if err := s.rows.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := CopyStore(t.Context(), dir, to, nil); err != nil {
		t.Errorf("a store no more in use: %v", err)
	}

	l, o := newLog(t)
	to = filepath.Join(t.TempDir(), "copy of a log's")
	if err := CopyStore(t.Context(), filepath.Join(o.Dir, "store"), to, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("the store of an open log: %v, want ErrLocked", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := CopyStore(t.Context(), filepath.Join(o.Dir, "store"), to, nil); err != nil {
		t.Errorf("the store of a closed log: %v", err)
	}
}

func TestCopyStoreRefused(t *testing.T) {
	dir, _ := storeDir(t, 10)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		prepare func(dir, to string) error
		says    string
	}{
		"link":      {func(dir, _ string) error { return os.Symlink(secret, filepath.Join(dir, "000009.sst")) }, "000009.sst is not a regular file"},
		"directory": {func(dir, _ string) error { return os.Mkdir(filepath.Join(dir, "sub"), 0o700) }, "sub is not a regular file"},
		"pipe":      {func(dir, _ string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600) }, "pipe is not a regular file"},
		"not empty": {func(_, to string) error {
			return errors.Join(os.Mkdir(to, 0o700), os.WriteFile(filepath.Join(to, "x"), nil, 0o600))
		}, "is not empty"},
		"to is a file": {func(_, to string) error { return os.WriteFile(to, nil, 0o600) }, "making the directory for the copy"},
		"data directory": {func(dir, _ string) error {
			return errors.Join(os.Mkdir(filepath.Join(dir, "store"), 0o700), os.WriteFile(filepath.Join(dir, "store", "MANIFEST"), nil, 0o600))
		}, "is not a store but holds one"},
		"absent": {func(dir, _ string) error { return os.RemoveAll(dir) }, "opening the store"},
	} {
		t.Run(name, func(t *testing.T) {
			own, to := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "copy")
			if err := CopyStore(t.Context(), dir, own, nil); err != nil {
				t.Fatal(err)
			}
			if err := test.prepare(own, to); err != nil {
				t.Fatal(err)
			}
			err := CopyStore(t.Context(), own, to, nil)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
	if err := CopyStore(t.Context(), dir, dir, nil); err == nil {
		t.Error("a store was copied over itself")
	}
}

// TestCopyStoreLinkSwapped puts a link in a file's place after it was listed.
func TestCopyStoreLinkSwapped(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc/hostname", link); err != nil {
		t.Fatal(err)
	}
	c := copying{ctx: t.Context()}
	if err := c.file(link, filepath.Join(dir, "copy")); err == nil {
		t.Error("a link was followed")
	}
}

func TestCopyStoreEnds(t *testing.T) {
	dir, _ := storeDir(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := CopyStore(ctx, dir, filepath.Join(t.TempDir(), "copy"), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
}
