package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestMemoryLimitIsTheContainers(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for _, tc := range []struct {
		name, file, env string
		want            int64
	}{
		{"limited", "104857600\n", "", 94371840},
		{"GOMEMLIMIT goes first", "104857600\n", "1GiB", before},
		{"not limited", "max\n", "", before},
		{"not understood", "much\n", "", before},
	} {
		debug.SetMemoryLimit(before)
		t.Setenv("GOMEMLIMIT", tc.env)
		file := filepath.Join(t.TempDir(), "memory.max")
		if err := os.WriteFile(file, []byte(tc.file), 0o600); err != nil {
			t.Fatal(err)
		}
		limitMemory(file)
		if got := debug.SetMemoryLimit(-1); got != tc.want {
			t.Errorf("%s: the limit is %d, want %d", tc.name, got, tc.want)
		}
	}
	limitMemory(filepath.Join(t.TempDir(), "none"))
}
