package verify

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestDirectory(t *testing.T) {
	l := sample(t)
	for _, test := range []struct {
		name  string
		alter func(dir string) error
		code  Code
		text  string
	}{
		{"sound", func(string) error { return nil }, Verified, ""},
		{"extra file", func(d string) error { return os.WriteFile(filepath.Join(d, "tile", "x"), nil, 0o600) }, Tampered, "tile/x: the file does not belong"},
		{"extra empty directory", func(d string) error { return os.Mkdir(filepath.Join(d, "tile", "x"), 0o700) }, Verified, ""},
		{"extra empty directory elsewhere", func(d string) error { return os.Mkdir(filepath.Join(d, "evil"), 0o700) }, Tampered, "evil/: the directory is empty"},
		{"extra empty directories", func(d string) error { return os.MkdirAll(filepath.Join(d, "a", "b", "c"), 0o700) }, Tampered, "a/b/c/: the directory is empty"},
		{"directory for a tile", func(d string) error { return swap(d, os.Mkdir) }, Tampered, "tile/0/001: it is not a regular file"},
		{"pipe for a tile", func(d string) error {
			return swap(d, func(p string, m os.FileMode) error { return syscall.Mkfifo(p, uint32(m)) })
		}, Tampered, "tile/0/001: it is not a regular file"},
		{"link out of the bundle", func(d string) error {
			return swap(d, func(p string, _ os.FileMode) error { return os.Symlink("/etc/passwd", p) })
		}, Incomplete, "tile/0/001: it cannot be read"},
		{"file for a directory", func(d string) error {
			return errors.Join(os.RemoveAll(filepath.Join(d, "tile", "0")), os.WriteFile(filepath.Join(d, "tile", "0"), nil, 0o600))
		}, Incomplete, "tile/0/000: the file is absent"},
		{"deep directories", func(d string) error { return os.MkdirAll(filepath.Join(d, strings.Repeat("x/", 20)), 0o700) }, Tampered, "does not belong"},
	} {
		dir := l.bundle(t).write(t, t.TempDir())
		if err := test.alter(dir); err != nil {
			t.Fatal(err)
		}
		src, closer, err := OpenSource(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		r := Log(t.Context(), src, Options{})
		if r.Code != test.code || test.text != "" && !strings.Contains(r.Problem.String(), test.text) {
			t.Errorf("%s: %s %v", test.name, r.Verdict, r.Problem)
		}
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// swap puts something else in the place of a tile.
func swap(dir string, put func(string, os.FileMode) error) error {
	path := filepath.Join(dir, "tile", "0", "001")
	return errors.Join(os.Remove(path), put(path, 0o700))
}

func TestDirGetAndList(t *testing.T) {
	dir := mapSource{"a": []byte("12345"), "b/c": nil, "b/d/e": nil}.write(t, t.TempDir())
	outside := mapSource{"secret": []byte("x")}.write(t, t.TempDir())
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	d, err := NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if data, err := d.Get(t.Context(), "a", 5); err != nil || string(data) != "12345" {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := d.Get(t.Context(), "a", 4); !errors.Is(err, ErrTooLong) {
		t.Error(err)
	}
	for _, path := range []string{"x", "a/x", "b/x/y"} {
		if _, err := d.Get(t.Context(), path, 5); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"../x", "/etc/passwd", "link/secret", "b/../../x"} {
		if data, err := d.Get(t.Context(), path, 500); err == nil {
			t.Errorf("%s: %q", path, data)
		}
	}
	var paths []string
	for path, err := range d.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	if got := strings.Join(paths, " "); got != "a b/c b/d/e link" {
		t.Error(got)
	}
	for range d.List(t.Context()) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Get(ctx, "a", 5); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, err := range d.List(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if _, err := NewDir(filepath.Join(dir, "a")); err == nil {
		t.Error("a file was opened as a directory")
	}
}

func TestOpenSourceOfNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("hello, this is no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := mapSource{"store/MANIFEST": nil, "ledger.key": nil}.write(t, t.TempDir())
	for where, text := range map[string]string{
		data: "data directory of a ledger", file: "not a ledger's archive", file + "x": "cannot open", "ftp://127.0.0.1/": "must begin with http", "http://": "must begin with http",
		"http://127.0.0.1/?x=1": "neither ? nor #", "http://127.0.0.1:x/": "no URL", "/dev/null": "not a regular file",
	} {
		_, _, err := OpenSource(t.Context(), where)
		r := Failed(err)
		if r.Code != Usage || !strings.Contains(r.Problem.Text, text) {
			t.Errorf("%s: %s %v", where, r.Verdict, r.Problem)
		}
	}
	if r := Failed(errors.New("odd")); r.Code != Internal || r.Problem.Text != "odd" {
		t.Errorf("%+v", r)
	}
	if r := Failed(context.Canceled); r.Code != Internal || r.Problem.Text != "interrupted" {
		t.Errorf("%+v", r)
	}
}
