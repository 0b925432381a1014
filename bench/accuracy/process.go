package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that runs, with a directory of its own. What it says goes
// into the file output.
type process struct {
	dir, output string
	cmd         *exec.Cmd
	ended       chan struct{}
}

func (p *process) prepare() (err error) {
	if p.dir, err = os.MkdirTemp("", "accuracy-"); err != nil {
		return fmt.Errorf("no directory for the program: %w", err)
	}
	p.output = filepath.Join(p.dir, "output")
	return nil
}

func (p *process) run(ctx context.Context, name string, args ...string) error {
	path, err := exec.LookPath(name)
	if err != nil {
		if path, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			return fmt.Errorf("%s is not installed: %w", name, err)
		}
	}
	out, err := os.Create(p.output)
	if err != nil {
		return err
	}
	defer out.Close()
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = p.dir, out, out
	// SIGTERM, as a master process takes its workers along then; Ctrl-C is for this process.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(p.ended) }()
	return nil
}

// patience is how long a program may take to end when it is told to.
const patience = 20 * time.Second

// stop ends the program, in force when it does not heed, and what it has started. A
// program that was never started has nothing to end.
func (p *process) stop() {
	if p.ended != nil {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.ended:
		case <-time.After(patience):
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // mostly there is nothing left
		<-p.ended
	}
	_ = os.RemoveAll(p.dir)
}

// said is what the program wrote.
func (p *process) said() string {
	data, _ := os.ReadFile(p.output)
	return strings.TrimSpace(string(data))
}

// until tries until it succeeds, for 30 s at most.
func (p *process) until(ctx context.Context, try func() error) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.ended:
			return fmt.Errorf("it ended: %s", p.said())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within 30 s: %w", err)
		}
	}
}

// proxying runs a program that listens at an address and waits until it does.
func (p *process) proxying(ctx context.Context, address, name string, args ...string) (string, error) {
	if err := p.run(ctx, name, args...); err != nil {
		return "", err
	}
	return "http://" + address, p.until(ctx, func() error {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// freeAddress is one that nobody listens at for now.
func freeAddress() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), ln.Close()
}
