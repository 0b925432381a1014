package bundle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/logtest"
)

// TestWhatLiesInTheWayOfFilesOnTheirWay puts something else where an export
// would keep what it has fetched: nothing behind it or in it may be touched.
func TestWhatLiesInTheWayOfFilesOnTheirWay(t *testing.T) {
	l := logtest.New(t, "log")
	for name, c := range map[string]struct {
		make func(place, victim string) error
		want string
	}{
		"link":      {func(place, victim string) error { return os.Symlink(victim, place) }, "is not a directory"},
		"file":      {func(place, _ string) error { return os.WriteFile(place, nil, 0o600) }, "is not a directory"},
		"open":      {func(place, _ string) error { return os.Mkdir(place, 0o755) }, "is open to others (mode 0755)"},
		"writable":  {func(place, _ string) error { return os.Mkdir(place, 0o720) }, "is open to others (mode 0700)"},
		"of others": {foreignDir, "belongs to another user"},
	} {
		for _, export := range []string{"log.tar.zst", "log"} {
			temp := t.TempDir()
			victim := filepath.Join(temp, "victim")
			if err := os.MkdirAll(filepath.Join(victim, "staged"), 0o700); err != nil {
				t.Fatal(err)
			}
			for _, file := range []string{"letter", "staged/letter"} {
				if err := os.WriteFile(filepath.Join(victim, file), []byte("dear"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			place := filepath.Join(temp, "."+export+".export")
			if err := c.make(place, victim); err != nil {
				t.Logf("%s: %v", name, err)
				continue
			}
			if name == "writable" {
				if err := os.Chmod(place, 0o720); err != nil {
					t.Fatal(err)
				}
				c.want = "is open to others (mode 0720)"
			}
			var err error
			if export == "log" {
				_, err = Export(t.Context(), l, filepath.Join(temp, export), nil)
			} else {
				_, err = Archive(t.Context(), l, filepath.Join(temp, export), nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v", name, export, err)
			}
			for _, file := range []string{"letter", "staged/letter"} {
				if _, err := os.Stat(filepath.Join(victim, file)); err != nil {
					t.Errorf("%s, %s: %v", name, export, err)
				}
			}
			if _, err := os.Lstat(place); err != nil {
				t.Errorf("%s, %s: it was removed: %v", name, export, err)
			}
		}
	}
}

// foreignDir makes a directory that belongs to another user, which only root
// can.
func foreignDir(place, _ string) error {
	if err := os.Mkdir(place, 0o700); err != nil {
		return err
	}
	return os.Chown(place, os.Geteuid()+1, -1)
}
