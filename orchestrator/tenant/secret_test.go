package tenant

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestTheOwnSecretIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	first, err := OwnSecret(dir, "", env())
	if err != nil || len(first) != 43 {
		t.Fatalf("%d characters, %v", len(first), err)
	}
	again, err := OwnSecret(dir, "", env())
	if err != nil || again != first {
		t.Errorf("another the second time, %v", err)
	}
	info, err := os.Stat(StoredSecret(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	other, err := Config{ID: "b"}.AccessSecret(dir, env())
	if err != nil || other == first || len(other) != 43 {
		t.Errorf("the secret made for another tenant: %v", err)
	}
}

func TestWhereSecretsComeFrom(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("file", "  from-a-file-0123456789\n")
	variable := env(SecretVariable, " from-the-environment-1 ", "B", "from-its-variable-77")
	if s, err := OwnSecret(dir, file, variable); s != "from-a-file-0123456789" || err != nil {
		t.Errorf("a file: %v", err)
	}
	if s, err := OwnSecret(dir, "", variable); s != "from-the-environment-1" || err != nil {
		t.Errorf("the environment: %v", err)
	}
	if s, err := (Config{ID: "b", SecretFile: file}).AccessSecret(dir, variable); s != "from-a-file-0123456789" || err != nil {
		t.Errorf("a tenant's file: %v", err)
	}
	if s, err := (Config{ID: "b", SecretEnv: "B"}).Secret(variable); s != "from-its-variable-77" || err != nil {
		t.Errorf("a tenant's variable: %v", err)
	}
	if s, err := (Config{ID: "b"}).Secret(variable); s != "" || err != nil {
		t.Errorf("none: %q, %v", s, err)
	}
	_, short := OwnSecret(dir, write("short", "hunter2"), env())
	_, long := OwnSecret(dir, write("long", strings.Repeat("hunter2", 100)), env())
	_, spaced := OwnSecret(dir, write("spaced", "hunter2 hunter2 hunter2"), env())
	_, missing := OwnSecret(dir, filepath.Join(dir, "none"), env())
	_, folder := OwnSecret(dir, dir, env())
	_, inEnv := OwnSecret(dir, "", env(SecretVariable, "hunter2"))
	_, unset := Config{ID: "b", SecretEnv: "NONE"}.Secret(env())
	_, weak := Config{ID: "b", SecretEnv: "WEAK"}.AccessSecret(dir, env("WEAK", "hunter2"))
	for want, err := range map[string]error{
		"short is too short": short, "long is too long": long, "must be printable ASCII": spaced, "no such file": missing,
		"is a directory": folder, "$COUNTERSIGN_SECRET is too short": inEnv, "$NONE is not set": unset, `tenant "b": $WEAK is too short`: weak,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v repeats the secret", err)
		}
	}
}
