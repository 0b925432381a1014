package machine

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/countersign-dev/countersign/bench/page"
)

// Setting is what every report has to say before its figures.
type Setting struct {
	Began    time.Time     `json:"began"`
	Took     time.Duration `json:"took_ns"`
	Machine  Machine       `json:"machine"`
	Versions []Version     `json:"versions"`

	before ticks
}

// Begin is at the beginning of a measurement.
func Begin() Setting {
	return Setting{Began: time.Now(), Machine: Describe(), before: readTicks()}
}

// End notes what is known at the end.
func (s *Setting) End() {
	s.Took, s.Machine.StolenPercent = time.Since(s.Began), readTicks().stolenSince(s.before)
}

// StayAwake starts a process for each processor that gives way to all others, on a virtual machine: its host takes an
// idle processor away, and is slow to give it back, tens of milliseconds at a waking, which would be everybody's latency.
// stop ends them; they do not outlive this process.
func (s *Setting) StayAwake(ctx context.Context) (stop func(), err error) {
	if !s.Machine.Virtual {
		return func() {}, nil
	}
	var all []*exec.Cmd
	stop = func() {
		for _, cmd := range all {
			_ = cmd.Process.Kill() // it has nothing else to do
			_ = cmd.Wait()
		}
	}
	for range runtime.NumCPU() {
		cmd := exec.CommandContext(ctx, "chrt", "--idle", "0", "sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := cmd.Start(); err != nil {
			stop()
			return nil, fmt.Errorf("cannot keep the processors awake: %w", err)
		}
		all = append(all, cmd)
	}
	s.Machine.KeptAwake = true
	return stop, nil
}

// Head begins a page of figures: its title, the time, and the machine. That of a short run says so.
func (s Setting) Head(title string, short bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", title)
	if short {
		b.WriteString("**A short run: it shows that the benchmark works. Its figures say nothing.**\n\n")
	}
	took := fmt.Sprintf("%d min", int(s.Took.Minutes()+0.5))
	if s.Took < 90*time.Second {
		took = fmt.Sprintf("%d s", int(s.Took.Seconds()+0.5))
	}
	fmt.Fprintf(&b, "%s, in %s. How, and what the words mean: docs/BENCH.md.\n\n", s.Began.UTC().Format("2006-01-02 15:04 UTC"), took)
	m := s.Machine
	var versions []string
	for _, v := range s.Versions {
		versions = append(versions, v.Name+": "+v.Version)
	}
	page.Table(&b, []string{"", ""}, [][]string{
		{"processors", fmt.Sprintf("%d × %s", m.Processors, m.CPU)},
		{"virtual machine", yes(m.Virtual) + fmt.Sprintf("; the host took %.1f %% of its time for others", m.StolenPercent)},
		{"idle processors kept awake", yes(m.KeptAwake)},
		{"load before", fmt.Sprintf("%.2f", m.LoadBefore)},
		{"memory", fmt.Sprintf("%d MiB", m.MemoryMiB)},
		{"system", m.System + ", Linux " + m.Kernel + ", clock " + m.ClockSource},
		{"versions", strings.Join(versions, "; ")},
	})
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
