//go:build slow

package e2e

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// docker is a daemon of the test's own, with no image at first.
type docker struct {
	client string // the program
	socket string
}

// startDocker starts a daemon that changes nothing on the host: it has no network until one is
// made, and no rule of a packet filter. Published ports are its own process's.
func startDocker(t *testing.T) docker {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a Docker daemon can be started by root alone")
	}
	daemon := tool(t, "dockerd", "docker.io")
	dir, err := os.MkdirTemp("", "cs-docker-") // its socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	d := docker{client: tool(t, "/usr/bin/docker", "docker.io"), socket: "unix://" + filepath.Join(dir, "sock")}
	runtime := buildWithoutCgo(t, "./testdata/runtime")
	p := start(t, syscall.SIGTERM, daemon, "-H", d.socket, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false",
		"--default-address-pool", "base=10.213.0.0/16,size=24", "--add-runtime", "newer="+runtime, "--default-runtime", "newer")
	t.Cleanup(func() {
		p.signal(t, syscall.SIGTERM)
		p.awaitExit(t) // and with it containerd, and all mounts
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the Docker daemon should answer", func() bool { return d.command("version").Run() == nil })
	return d
}

// command is one of the client's.
func (d docker) command(args ...string) *exec.Cmd {
	return exec.Command(d.client, append([]string{"-H", d.socket}, args...)...)
}

// environment is the tests' own, with which any client asks this daemon.
func (d docker) environment() []string {
	return append(os.Environ(), "DOCKER_HOST="+d.socket, "DOCKER="+d.client)
}

// do returns what the client prints, without its warnings.
func (d docker) do(t *testing.T, args ...string) string {
	t.Helper()
	out, code, warnings := ended(t, d.command(args...))
	if code != 0 {
		t.Fatalf("docker %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, warnings)
	}
	return out
}

// ended runs a command to its end.
func ended(t *testing.T, cmd *exec.Cmd) (printed string, code int, warnings string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("%s: %v", cmd, err)
	} else if ok {
		code = exit.ExitCode()
	}
	return strings.TrimSpace(out.String()), code, errs.String()
}

// load makes an image of programs by their names, with nothing else in it. A change
// is an instruction of a Dockerfile.
func (d docker) load(t *testing.T, image string, programs map[string]string, changes ...string) {
	t.Helper()
	args := []string{"import"}
	for _, change := range changes {
		args = append(args, "--change", change)
	}
	cmd := d.command(append(args, "-", image)...)
	cmd.Stdin = bytes.NewReader(tarOf(t, programs))
	if _, code, warnings := ended(t, cmd); code != 0 {
		t.Fatalf("the image %s cannot be made: %s", image, warnings)
	}
}

// logs is what a container has printed.
func (d docker) logs(t *testing.T, container string) string {
	t.Helper()
	out, err := d.command("logs", container).CombinedOutput()
	if err != nil {
		t.Fatalf("docker logs: %v\n%s", err, out)
	}
	return string(out)
}

// tarOf is programs by their names, for an image FROM scratch.
func tarOf(t *testing.T, programs map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, file := range programs {
		content, err := os.ReadFile(file)
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))})
		}
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
