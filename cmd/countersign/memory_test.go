package main

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
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

func TestCleanMappings(t *testing.T) {
	const smaps = `00400000-00d21000 r-xp 00000000 fe:00 4194311                            /opt/a binary
Rss:                9000 kB
Anonymous:             0 kB
00d21000-01a00000 r--p 00921000 fe:00 4194311                            /opt/a binary
Anonymous:             4 kB
01a00000-01b00000 rw-p 01600000 fe:00 4194311                            /opt/a binary
Anonymous:             0 kB
7f0000000000-7f0000001000 r--p 00000000 fe:00 99                         /opt/other
Anonymous:             0 kB
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0
Anonymous:             0 kB
`
	got := cleanMappings(strings.NewReader(smaps), "/opt/a binary")
	if want := []mapping{{0x400000, 0xd21000}}; !slices.Equal(got, want) {
		t.Errorf("got %#x, want %#x", got, want)
	}
}
