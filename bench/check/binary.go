package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/countersign-dev/countersign/bench/stats"
)

// The figures of the binary as a whole.
const (
	binaryFigure = "the binary's size"
	restFigure   = "resident memory at rest"
)

func size(_ context.Context, _, binary string, _, now *Baseline) error {
	info, err := os.Stat(binary)
	if err != nil {
		return fmt.Errorf("the binary is not there: %w", err)
	}
	now.Figures[binaryFigure] = Figure{Bytes, float64(info.Size())}
	return nil
}

// resting is how long after it serves the sidecar is looked at, in which it has
// ticked once; several are started at once.
const (
	resting  = 6 * time.Second
	sidecars = 3
)

// atRest starts sidecars with all they have on, before an upstream without
// requests, and keeps the median of what they hold resident.
func atRest(ctx context.Context, dir, binary string, _, now *Baseline) error {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer upstream.Close()
	type found struct {
		kib float64
		err error
	}
	all := make(chan found, sidecars)
	for i := range sidecars {
		go func() {
			kib, err := resident(ctx, filepath.Join(dir, fmt.Sprint("data", i)), binary, upstream.Addr().String())
			all <- found{kib, err}
		}()
	}
	var values []float64
	for range sidecars {
		f := <-all
		values, err = append(values, f.kib), errors.Join(err, f.err)
	}
	now.Figures[restFigure] = Figure{Resident, stats.Median(values)}
	return err
}

func resident(ctx context.Context, data, binary, upstream string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "run", "--upstream", "http://"+upstream, "--wait-upstream", "0", "--listen", "127.0.0.1:0",
		"--admin", "127.0.0.1:0", "--data", data, "--log-format", "json")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("the binary does not run: %w", err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Signal(syscall.SIGTERM) }()
	lines := bufio.NewScanner(said)
	last := "nothing"
	for serving := false; !serving; {
		if !lines.Scan() {
			return 0, fmt.Errorf("the sidecar ended before it served; the last it said is: %s", last)
		}
		last = lines.Text()
		var line struct{ Msg string }
		serving = json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving"
	}
	go func() {
		for lines.Scan() { // so that it is not held up
		}
	}()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(resting):
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return residentOf(string(status))
}

// residentOf is VmRSS of /proc/PID/status, in KiB.
func residentOf(status string) (float64, error) {
	for line := range strings.Lines(status) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text), "kB")), 64)
		}
	}
	return 0, errors.New("/proc does not say what is resident")
}
