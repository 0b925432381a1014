package peer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/countersign-dev/countersign/bench/machine"
)

// Build makes the programs of this module that peers are, into dir, and finds those of Debian's. root is the
// repository, countersign the built sidecar.
func Build(ctx context.Context, root, dir, countersign string) (Programs, error) {
	p := Programs{Countersign: countersign, Nginx: installed("nginx"), HAProxy: installed("haproxy")}
	if _, err := os.Stat(countersign); err != nil {
		return p, fmt.Errorf("there is no sidecar to measure: %w; make build makes it", err)
	}
	for _, program := range []struct {
		file *string
		name string
		pkg  string
	}{
		{&p.Upstream, "upstream", "./bench/upstream"},
		{&p.Fasthttp, "fasthttp", "./bench/peer/fasthttp"},
		{&p.HTTPUtil, "httputil", "./bench/peer/httputil"},
	} {
		*program.file = filepath.Join(dir, program.name)
		if err := goBuild(ctx, exec.CommandContext(ctx, machine.Go()), root, *program.file, program.pkg); err != nil {
			return p, err
		}
	}
	return p, nil
}

// Caddy finds the Caddy that was built of bench/caddy, and builds it first if build says so: once, which takes
// minutes. It is kept in the user's cache, by what it was built from. Without it the path is empty.
func Caddy(ctx context.Context, root string, build bool) (string, error) {
	source := filepath.Join(root, "bench", "caddy")
	of := sha256.New()
	version, err := exec.CommandContext(ctx, machine.Go(), "version").Output()
	if err != nil {
		return "", fmt.Errorf("cannot ask Go for its version: %w", err)
	}
	of.Write(version)
	for _, file := range []string{"go.mod", "go.sum", "main.go"} {
		text, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return "", err
		}
		of.Write(text)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "countersign-bench", hex.EncodeToString(of.Sum(nil))[:16], "caddy")
	if _, err := os.Stat(program); err == nil {
		return program, nil
	} else if !errors.Is(err, os.ErrNotExist) || !build {
		return "", nil
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	// Somebody else may build the same meanwhile.
	dir, err := os.MkdirTemp(filepath.Dir(program), "unfinished-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	unfinished := filepath.Join(dir, "caddy")
	if err := goBuild(ctx, exec.CommandContext(ctx, "nice", "-n", "19", machine.Go()), source, unfinished, "."); err != nil {
		return "", err
	}
	return program, os.Rename(unfinished, program)
}

// goBuild builds a package the way releases are built. cmd is the Go command, which the arguments are added to.
func goBuild(ctx context.Context, cmd *exec.Cmd, dir, file, pkg string) error {
	cmd.Args = append(cmd.Args, "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", file, pkg)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build %s in %s: %w\n%s", pkg, dir, err, out)
	}
	return ctx.Err()
}
