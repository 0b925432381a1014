package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestHeaders(t *testing.T) {
	o := testOptions(t)
	if err := openLog(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(o.storeDir(), "*.vlog"))
	if err != nil || len(logs) == 0 {
		t.Fatal("the store has no value log", err)
	}
	for path, change := range map[string]func([]byte) []byte{
		filepath.Join(o.storeDir(), registryName): func(b []byte) []byte { return append(b, 'x') },
		logs[0]: func(b []byte) []byte { b[0] = 1; return b },
	} {
		sound, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, change(append([]byte(nil), sound...)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), o)
		if _, ok := errors.AsType[*IntegrityError](err); !ok {
			t.Errorf("%s: Open says %v", filepath.Base(path), err)
		}
		if err := os.WriteFile(path, sound, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := openLog(t, o).Close(); err != nil {
		t.Error(err)
	}
}
