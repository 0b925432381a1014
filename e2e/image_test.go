//go:build slow

package e2e

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// imageUser is who the sidecar is in its image. Its files are of group 0 as well.
const imageUser = 65532

// makeImages has the images made as a user does, for this daemon.
func makeImages(t *testing.T, d docker) {
	t.Helper()
	build := exec.Command(tool(t, "make", "make"), "-C", "..", "image")
	build.Env = d.environment()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make image: %v\n%s", err, out)
	}
}

// imageOf is what Docker says of an image.
type imageOf struct {
	Architecture string
	Size         int64
	RepoTags     []string
	Config       struct {
		User        string
		Env         []string
		Entrypoint  []string
		Cmd         []string
		Volumes     map[string]struct{}
		Labels      map[string]string
		Healthcheck struct{ Test []string }
	}
}

func (d docker) image(t *testing.T, name string) imageOf {
	t.Helper()
	var images []imageOf
	if err := json.Unmarshal([]byte(d.do(t, "image", "inspect", name)), &images); err != nil || len(images) != 1 {
		t.Fatalf("%s: %d images: %v", name, len(images), err)
	}
	return images[0]
}

// testImages looks at the images themselves: what they say, and every file in them.
func testImages(t *testing.T, d docker) {
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	native := d.image(t, "countersign")
	for arch, machine := range machines {
		t.Run(arch, func(t *testing.T) {
			name := ""
			for _, tag := range strings.Fields(d.do(t, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "countersign")) {
				if strings.HasSuffix(tag, "-"+arch) {
					name = tag
				}
			}
			if name == "" {
				t.Fatal("there is no image")
			}
			i := d.image(t, name)
			t.Logf("%s has %.1f MB", name, float64(i.Size)/1e6)
			const limit = 30e6
			if i.Architecture != arch || i.Size > limit {
				t.Errorf("it is for %s and has %d bytes, at most %d", i.Architecture, i.Size, int64(limit))
			}
			expectConfig(t, i)
			expectFiles(t, d, name, machine)
		})
	}
	if len(native.RepoTags) < 3 {
		t.Errorf("this machine's image is known as %v", native.RepoTags)
	}
}

func expectConfig(t *testing.T, i imageOf) {
	t.Helper()
	c := i.Config
	_, volume := c.Volumes["/data"]
	if c.User != "65532:65532" || !volume || len(c.Volumes) != 1 {
		t.Errorf("user %q, volumes %v", c.User, c.Volumes)
	}
	if got := strings.Join(c.Entrypoint, " ") + " " + strings.Join(c.Cmd, " "); got != "/countersign run" {
		t.Errorf("it runs %q", got)
	}
	if got := strings.Join(c.Healthcheck.Test, " "); got != "CMD /countersign healthcheck" {
		t.Errorf("its health is asked by %q", got)
	}
	if !strings.Contains(strings.Join(c.Env, " "), "COUNTERSIGN_DATA=/data") {
		t.Errorf("its environment is %v", c.Env)
	}
	for _, label := range []string{"title", "description", "source", "documentation", "licenses", "version", "revision", "created"} {
		if c.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("the label %s is missing", label)
		}
	}
}

// expectFiles reads the layers: one binary, two directories that its user may write to, and
// nothing else. So there is no shell, nothing setuid, and no other path to write to.
func expectFiles(t *testing.T, d docker, image string, machine elf.Machine) {
	t.Helper()
	found := map[string]bool{}
	for header, content := range layers(t, d, image) {
		name := "/" + strings.Trim(filepath.Clean(header.Name), "/")
		info := header.FileInfo()
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 || len(header.PAXRecords) > 0 {
			t.Errorf("%s is %v, with %v", name, info.Mode(), header.PAXRecords)
		}
		found[name] = true
		switch name {
		case "/countersign":
			if info.Mode() != 0o755 || header.Uid != 0 || header.Gid != 0 {
				t.Errorf("%s is %v of %d:%d", name, info.Mode(), header.Uid, header.Gid)
			}
			expectStatic(t, content, machine)
		case "/data", "/anchor":
			if info.Mode() != fs.ModeDir|0o770 || header.Uid != imageUser || header.Gid != 0 {
				t.Errorf("%s is %v of %d:%d", name, info.Mode(), header.Uid, header.Gid)
			}
		default:
			t.Errorf("%s has no place in the image", name)
		}
	}
	if len(found) != 3 {
		t.Errorf("the image has %v", found)
	}
}

// layers are the files of all layers of an image, as docker save has them.
func layers(t *testing.T, d docker, image string) map[*tar.Header][]byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "image.tar")
	d.do(t, "save", "-o", file, image)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all := map[*tar.Header][]byte{}
	for name, content := range untar(t, f) {
		if strings.HasSuffix(name.Name, ".tar") {
			for h, c := range untar(t, bytes.NewReader(content)) {
				all[h] = c
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("docker save gave no layers")
	}
	return all
}

func untar(t *testing.T, r io.Reader) map[*tar.Header][]byte {
	t.Helper()
	files := map[*tar.Header][]byte{}
	for archive := tar.NewReader(r); ; {
		h, err := archive.Next()
		if err == io.EOF {
			return files
		}
		var content []byte
		if err == nil {
			content, err = io.ReadAll(archive)
		}
		if err != nil {
			t.Fatal(err)
		}
		files[h] = content
	}
}

// expectStatic fails when a binary is for another machine, or needs anything of the image.
func expectStatic(t *testing.T, program []byte, machine elf.Machine) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != machine {
		t.Errorf("the binary is for %v, not %v", f.Machine, machine)
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary needs %v (%v)", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary needs a dynamic loader")
		}
	}
}

// testReadOnly runs the image by hand, with a root file system that cannot be written to.
func testReadOnly(t *testing.T, d docker) {
	t.Parallel()
	box := d.do(t, "run", "-d", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none",
		"countersign", "run", "--upstream", "http://127.0.0.1:8000", "--wait-upstream", "0")
	t.Cleanup(func() { d.do(t, "rm", "-f", "-v", box) })
	eventually(t, "the sidecar should be ready", func() bool {
		return d.command("exec", box, "/countersign", "healthcheck").Run() == nil
	})
	if out, code, _ := ended(t, d.command("exec", box, "/countersign", "ledger", "verify", "http://127.0.0.1:9090/ledger/")); code != 0 || !strings.HasPrefix(out, "VERIFIED") {
		t.Errorf("ledger verify: %d\n%s", code, out)
	}
	// The process is nobody in particular, with nothing but its files.
	pid := d.do(t, "inspect", "-f", "{{.State.Pid}}", box)
	status, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532\t65532\t65532\t65532", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), line) {
			t.Errorf("the process lacks %q in\n%s", line, status)
		}
	}
}
