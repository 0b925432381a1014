package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	apiAddress = "127.0.0.1:8000"
	admin      = "127.0.0.1:9090"
	requests   = 100
	nobody     = 65534
)

// documented are the capabilities of each hook, and no others.
var documented = map[string][]uintptr{
	"tcx":    {unix.CAP_BPF, unix.CAP_NET_ADMIN},
	"socket": {unix.CAP_BPF, unix.CAP_NET_RAW},
}

// beFirst tries each hook and prints what came of it on a line that begins with its
// name. The kernel's words name the hooks: hooks=tcx,socket.
func beFirst() {
	defer func() {
		_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}()
	if err := prepare(); err != nil {
		fmt.Println("prepare:", err)
		return
	}
	go func() { log.Print(serve(apiAddress)) }()
	for _, hook := range []string{"tcx", "socket"} {
		fmt.Printf("RESULT %s %s\n", hook, measure(hook))
	}
	if out, err := exec.Command("/countersign", "probe", "check").CombinedOutput(); err != nil {
		fmt.Printf("probe check: %v\n%s", err, out)
	} else {
		fmt.Printf("%s", out)
	}
}

// prepare makes a machine of what the kernel gives.
func prepare() error {
	for dir, kind := range map[string]string{"/proc": "proc", "/sys": "sysfs", "/tmp": "tmpfs"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(kind, dir, kind, 0, ""); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// measure says how many of the requests a probe has measured, or why none. The
// probe is not root's and has the documented capabilities alone, with which this
// kernel's verifier is stricter.
func measure(hook string) string {
	data, err := os.MkdirTemp("/tmp", hook)
	if err != nil {
		return err.Error()
	}
	if err := os.Chown(data, nobody, nobody); err != nil {
		return err.Error()
	}
	probe := exec.Command("/countersign", "run", "--sensor", "ebpf", "--port", "8000", "--ebpf-attach", hook, "--admin", admin, "--data", data)
	probe.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: documented[hook],
	}
	out, err := probe.StderrPipe()
	if err != nil {
		return err.Error()
	}
	if err := probe.Start(); err != nil {
		return err.Error()
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "msg=serving") {
		fmt.Println(lines.Text())
	}
	defer func() {
		_ = probe.Process.Kill()
		_ = probe.Wait()
	}()
	if !strings.Contains(lines.Text(), "msg=serving") {
		return "did not serve"
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if err := ask("http://"+apiAddress+"/", requests); err != nil {
		return err.Error()
	}
	want := fmt.Sprintf("countersign_probe_requests_measured_total %d\n", requests)
	for range 60 {
		time.Sleep(500 * time.Millisecond)
		metrics, err := read("http://" + admin + "/metrics")
		if err == nil && strings.Contains(metrics, want) {
			return fmt.Sprintf("measured %d", requests)
		}
	}
	return "has not measured them"
}
