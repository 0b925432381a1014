package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func newTestKey(t testing.TB, origin string) *key {
	t.Helper()
	k, err := generateKey(origin)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyFile(t *testing.T) {
	k := newTestKey(t, logOrigin)
	path := filepath.Join(t.TempDir(), "key")
	if _, err := readKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key that is not there: %v", err)
	}
	if err := writeKey(path, k); err != nil {
		t.Fatal(err)
	}
	if err := writeKey(path, newTestKey(t, logOrigin)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("writing over a key: %v, want fs.ErrExist", err)
	}
	found, err := readKey(path)
	if err != nil || found.secret != k.secret || found.vkey != k.vkey || found.from != path {
		t.Errorf("read %+v (%v), want %+v", found, err, k)
	}
	if verifier, err := note.NewVerifier(found.vkey); err != nil || verifier.KeyHash() != found.KeyHash() {
		t.Errorf("the verifier key %s does not fit the signer: %v", found.vkey, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o666, 0o620} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := readKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("a key of mode %o: %v, want the chmod to run", mode, err)
		}
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	k := newTestKey(t, logOrigin)
	dir := t.TempDir()
	for name, content := range map[string]string{
		"empty":     "",
		"vkey":      k.vkey + "\n",
		"two lines": k.secret + "\n" + k.secret + "\n",
		"altered":   strings.Replace(k.secret, "example", "exbmple", 1),
		"cut":       k.secret[:len(k.secret)-4],
		"long":      k.secret + strings.Repeat("\n", 2000),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := readKey(path)
		if err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want an error with the file's name", name, err)
		}
		if err != nil && strings.Contains(err.Error(), k.secret[len(k.secret)-20:len(k.secret)-8]) {
			t.Errorf("%s: the error gives the key away: %v", name, err)
		}
	}
	if _, err := readKey(dir); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: %v", err)
	}
}

func TestSignerFromOutside(t *testing.T) {
	o := testOptions(t)
	k := newTestKey(t, logOrigin)
	o.Signer, o.Origin = k.secret, ""
	l := openLog(t, o)
	if l.VerifierKey() != k.vkey || l.Origin() != logOrigin {
		t.Errorf("the log has the key %s and the origin %s", l.VerifierKey(), l.Origin())
	}
	appendLeaves(t, l, 3)
	closeLog(t, l)
	if _, err := os.Stat(filepath.Join(o.Dir, keyName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a key from outside was written to disk: %v", err)
	}
	before := snapshot(t, o.Dir)
	other := newTestKey(t, logOrigin)
	for secret, words := range map[string][]string{
		other.secret: {other.id(), k.id()},
		newTestKey(t, "example.com/other").secret: {"example.com/other+", k.id()},
		"":           {k.id(), "lost"},
		k.secret[1:]: {"not a note signer key"},
	} {
		o.Signer = secret
		_, err := Open(t.Context(), o)
		for _, word := range words {
			if err == nil || !strings.Contains(err.Error(), word) {
				t.Errorf("opened with another key: %v, want %q in it", err, word)
			}
		}
	}
	if after := snapshot(t, o.Dir); after != before {
		t.Errorf("a wrong key has changed the log from\n%s\nto\n%s", before, after)
	}
	o.Signer = k.secret
	checkLog(t, openLog(t, o), nil)
}

func TestSignerAndOriginDisagree(t *testing.T) {
	o := testOptions(t)
	o.Signer = newTestKey(t, "example.com/other").secret
	for name, try := range map[string]func() error{
		"Check": func() error { return Check(o) },
		"Open":  func() error { _, err := Open(t.Context(), o); return err },
	} {
		if err := try(); err == nil || !strings.Contains(err.Error(), "example.com/other") || !strings.Contains(err.Error(), logOrigin) {
			t.Errorf("%s: %v, want both names", name, err)
		}
	}
}
