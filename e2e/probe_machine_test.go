//go:build slow

package e2e

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// olderKernels are where .ci/deps puts Debian 12's kernel, which has no tcx.
const olderKernels = "/var/cache/countersign/vmlinuz-6.1.*"

// TestProbeOnDebiansKernel boots it in an emulated machine that has nothing but
// the binary, an API and a client: the probe loads there, and measures.
func TestProbeOnDebiansKernel(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(olderKernels)
	if err != nil || len(found) == 0 {
		t.Fatalf("there is no %s: run .ci/deps", olderKernels)
	}
	ram := filepath.Join(t.TempDir(), "initramfs")
	writeText(t, ram, string(archive(t, map[string]string{"init": buildWithoutCgo(t, "./testdata/host"), "countersign": binary})))
	p := start(t, syscall.SIGKILL, tool(t, "qemu-system-x86_64", "qemu-system-x86"),
		"-accel", "tcg", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-kernel", found[len(found)-1], "-initrd", ram, "-append", "console=ttyS0 quiet panic=-1")
	machine := p.awaitLineFor(t, 20*patience, "by socket") // an emulated processor is slow, and slower on a busy machine
	t.Log(machine)
	out := p.printed()
	for _, line := range []string{"RESULT socket measured 100", "kernel 6.1."} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q", line)
		}
	}
	if !strings.Contains(out, "RESULT tcx did not serve") || !strings.Contains(out, "6.6") {
		t.Error("tcx should be refused, naming the kernel that has it")
	}
}

// buildWithoutCgo builds a program that needs nothing of the system around it.
func buildWithoutCgo(t *testing.T, dir string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), filepath.Base(dir))
	build := exec.Command("go", "build", "-trimpath", "-o", bin, dir)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// archive is an initramfs with programs by their names, and the console that
// the first process speaks through (the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst).
func archive(t *testing.T, programs map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	inode := 0
	entry := func(name string, mode, major, minor int, content []byte) {
		inode++
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
			inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0, name)
		pad()
		b.Write(content)
		pad()
	}
	entry("dev", syscall.S_IFDIR|0o755, 0, 0, nil)
	entry("dev/console", syscall.S_IFCHR|0o600, 5, 1, nil)
	entry("dev/null", syscall.S_IFCHR|0o666, 1, 3, nil)
	for name, file := range programs {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		entry(name, syscall.S_IFREG|int(fs.FileMode(0o755)), 0, 0, content)
	}
	entry("TRAILER!!!", 0, 0, 0, nil)
	return b.Bytes()
}
