//go:build slow

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// volume is a small ext4 file system of its own, which can be filled, broken
// and cut off.
type volume struct {
	t          *testing.T
	image, dir string
	mounted    bool
}

// newVolume makes a file system and mounts it. Only root can.
func newVolume(t *testing.T, bytes int64) *volume {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("only root can mount the small file systems of this test")
	}
	at := t.TempDir()
	v := &volume{t: t, image: filepath.Join(at, "image"), dir: filepath.Join(at, "mounted")}
	if err := os.Mkdir(v.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(v.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(v.image, bytes); err != nil {
		t.Fatal(err)
	}
	// Nothing is set aside for root, so that full means full.
	v.run("mkfs.ext4", "e2fsprogs", "-q", "-m", "0", v.image)
	v.mount()
	t.Cleanup(func() {
		if v.mounted {
			v.unmount()
		}
	})
	return v
}

func (v *volume) run(name, debianPackage string, args ...string) {
	v.t.Helper()
	if out, err := exec.Command(tool(v.t, name, debianPackage), args...).CombinedOutput(); err != nil {
		v.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

func (v *volume) mount() {
	v.t.Helper()
	v.run("mount", "mount", "-o", "loop", v.image, v.dir)
	v.mounted = true
}

func (v *volume) unmount() {
	v.t.Helper()
	v.run("umount", "mount", v.dir)
	v.mounted = false
}

// remount mounts it anew, after something that only this mends.
func (v *volume) remount() {
	v.t.Helper()
	v.unmount()
	v.mount()
}

// turnReadOnly lets the kernel refuse every further write, as it does itself
// when a disk fails. It cannot be asked to while files are open for writing.
func (v *volume) turnReadOnly() {
	v.t.Helper()
	v.run("mount", "mount", "-o", "remount,abort", v.dir)
}

// cutPower loses what has not been written through to the disk. Until it is
// mounted anew, nothing can be read or written.
func (v *volume) cutPower() {
	v.t.Helper()
	const (
		shutdown    = 0x8004587d // EXT4_IOC_SHUTDOWN of linux/ext4.h
		withoutSync = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH
	)
	f, err := os.Open(v.dir)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutSync); err != nil {
		v.t.Fatalf("cannot cut the file system off: %v", err)
	}
}

// free is what can be written, in bytes.
func (v *volume) free() int64 {
	v.t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(v.dir, &fs); err != nil {
		v.t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// take occupies space with a file, all at once; give gives it back.
func (v *volume) take(name string, bytes int64) {
	v.t.Helper()
	f, err := os.OpenFile(filepath.Join(v.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), 0, 0, bytes); err != nil && !errors.Is(err, unix.ENOSPC) {
		v.t.Fatalf("cannot occupy %d bytes: %v", bytes, err)
	}
}

// leave occupies all but so many bytes.
func (v *volume) leave(name string, bytes int64) {
	v.t.Helper()
	v.take(name, v.free()-bytes)
}

// fill occupies all there is, to the last byte.
func (v *volume) fill(name string) {
	v.t.Helper()
	if err := fill(filepath.Join(v.dir, name), 0); !errors.Is(err, unix.ENOSPC) {
		v.t.Fatalf("filling the file system ended with %v", err)
	}
}

// fill writes to a file until there is no space, so many bytes a second; 0 is
// as fast as it can.
func fill(path string, rate int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	begun, written := time.Now(), int64(0)
	for size := 1 << 20; size > 0; size /= 2 {
		for err = nil; err == nil; {
			var n int
			n, err = f.Write(make([]byte, size))
			written += int64(n)
			if rate > 0 {
				time.Sleep(time.Until(begun.Add(time.Duration(float64(written) / float64(rate) * float64(time.Second)))))
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			return err
		}
	}
	return err
}

func (v *volume) give(name string) {
	v.t.Helper()
	if err := os.Remove(filepath.Join(v.dir, name)); err != nil {
		v.t.Fatal(err)
	}
}
