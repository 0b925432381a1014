package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCrashWhileLogIsMade opens what is left of a first start that was killed
// after each of its steps.
func TestCrashWhileLogIsMade(t *testing.T) {
	made := testOptions(t)
	closeLog(t, openLog(t, made))
	key, err := readKey(filepath.Join(made.Dir, keyName))
	if err != nil {
		t.Fatal(err)
	}
	empty, err := signCheckpoint(logOrigin, 0, (&edge{}).root(), key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(t *testing.T, path string, data []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	secret := []byte(key.secret + "\n")
	for _, test := range []struct {
		name    string
		keyName string
		key     []byte
		anchor  bool
		store   string // "", "directory", "no rows", "rows"
		kept    bool   // the key is that of the log that is made
	}{
		{"nothing", "", nil, false, "", false},
		{"half a key", nextKeyName, secret[:10], false, "", false},
		{"key", nextKeyName, secret, false, "", false},
		{"anchor", nextKeyName, secret, true, "", true},
		{"key in place", keyName, secret, true, "", true},
		{"directory of the store", keyName, secret, true, "directory", true},
		{"store without rows", keyName, secret, true, "no rows", true},
		{"entry 0", keyName, secret, true, "rows", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := testOptions(t)
			if test.key != nil {
				write(t, filepath.Join(o.Dir, test.keyName), test.key)
			}
			if test.anchor {
				write(t, filepath.Join(o.Dir, "anchor", "checkpoint"), empty.Note)
			}
			switch test.store {
			case "directory":
				if err := os.Mkdir(o.storeDir(), 0o700); err != nil {
					t.Fatal(err)
				}
			case "no rows":
				tamper(t, o, func(func(key, value []byte), func([]byte) []byte) {})
			case "rows":
				copyTree(t, made.storeDir(), o.storeDir())
			}
			if err := Check(o); err != nil {
				t.Errorf("Check: %v", err)
			}
			l := openLog(t, o)
			if kept := l.VerifierKey() == key.vkey; kept != test.kept {
				t.Errorf("the log has the key of before: %v, want %v", kept, test.kept)
			}
			if c := l.Checkpoint(); c.Size != 1 {
				t.Errorf("the new log has %d entries", c.Size)
			}
			if _, err := os.Stat(filepath.Join(o.Dir, nextKeyName)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the temporary key is still there: %v", err)
			}
			checkGoesOn(t, o, l)
		})
	}
}

func TestLogThatWasBegunWithAnotherKey(t *testing.T) {
	o := testOptions(t)
	o.Signer = newTestKey(t, logOrigin).secret
	empty, err := signCheckpoint(logOrigin, 0, (&edge{}).root(), newTestKey(t, logOrigin))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "anchor"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(filepath.Join(o.Dir, "anchor", "checkpoint"), empty.Note); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("%v, want that it was begun with another key", err)
	}
}

func TestOriginsThatAreNone(t *testing.T) {
	for origin, words := range map[string]string{
		"":                                 "needs an origin",
		"example.com/a b":                  "space",
		"example.com/a\u2003b":             "space",
		"example.com/a+b":                  "'+'",
		"example.com/\x01":                 "control character",
		"example.com/\xff":                 "UTF-8",
		"x/" + strings.Repeat("x", 254):    "at most 255",
		"example.com/line\nexample.com/\n": "space, a '+' or a control",
	} {
		o := testOptions(t)
		o.Origin = origin
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("Open with the origin %q: %v, want %q", origin, err, words)
		}
		if err := Check(o); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("Check with the origin %q: %v, want %q", origin, err, words)
		}
		if _, err := os.Stat(filepath.Join(o.Dir, "anchor")); err == nil {
			t.Errorf("Open with the origin %q has made an anchor", origin)
		}
	}
	o := testOptions(t)
	o.Origin = strings.Repeat("ü", 127)
	checkLog(t, openLog(t, o), nil)
}
