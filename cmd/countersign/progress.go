package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// How progress is shown.
const (
	barWidth   = 30
	barEvery   = 100 * time.Millisecond
	barAfter   = time.Second // shorter work shows none
	lineAfter  = 5 * time.Second
	lineEvery  = 5 * time.Second
	lineShare  = 10 // percent more than the line before, or
	lineSilent = time.Minute
)

// progress shows how far a long piece of work is: a bar on a terminal, else a
// line now and then. It belongs to one goroutine.
type progress struct {
	w        io.Writer
	terminal bool
	now      func() time.Time
	label    string
	amount   func(uint64) string

	begun, shown time.Time
	percent      uint64 // on the last line
	drawn        bool   // a bar is on the screen
}

func quietFlag() cli.Flag {
	return &cli.BoolFlag{Name: "quiet", Usage: "show no progress", EnvVars: []string{"COUNTERSIGN_QUIET"}}
}

// newProgress shows on stderr the progress of what label says; amounts are
// written by amount.
func newProgress(c *cli.Context, label string, amount func(uint64) string) *progress {
	if c.Bool("quiet") {
		return &progress{w: io.Discard, now: time.Now, amount: amount}
	}
	return &progress{w: c.App.ErrWriter, terminal: isTerminal(c.App.ErrWriter), now: time.Now, label: label, amount: amount}
}

// update tells how much of the work is done.
func (p *progress) update(done, total uint64) {
	now := p.now()
	if p.begun.IsZero() {
		p.begun = now
	}
	if total == 0 {
		return
	}
	elapsed, since, percent := now.Sub(p.begun), now.Sub(p.shown), share(done, total)
	switch {
	case p.terminal && elapsed >= barAfter && since >= barEvery:
		filled := int(percent) * barWidth / 100
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s [%s%s] %3d %%  %s of %s%s", p.label,
			strings.Repeat("#", filled), strings.Repeat(".", barWidth-filled), percent, p.amount(done), p.amount(total), remaining(elapsed, done, total))
		p.shown, p.drawn = now, true
	case !p.terminal && elapsed >= lineAfter && since >= lineEvery && (percent >= p.percent+lineShare || since >= lineSilent):
		_, _ = fmt.Fprintf(p.w, "%s: %d %%, %s of %s%s\n", p.label, percent, p.amount(done), p.amount(total), remaining(elapsed, done, total))
		p.shown, p.percent = now, percent
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.drawn {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
	p.drawn = false
}

// share is done in percent of total.
func share(done, total uint64) uint64 {
	return uint64(100 * float64(min(done, total)) / float64(total))
}

// remaining is how long the rest takes if it goes on like this, after what
// took elapsed. Nothing is said of what is done, or too little to tell.
func remaining(elapsed time.Duration, done, total uint64) string {
	if done >= total || share(done, total) < 1 {
		return ""
	}
	left := time.Duration(float64(elapsed) * float64(total-done) / float64(done))
	return fmt.Sprintf(", %v left", left.Round(time.Second))
}

// entryCount writes a number of entries.
func entryCount(n uint64) string {
	if n == 1 {
		return "1 entry"
	}
	return count(n) + " entries"
}

// count writes a number in groups of three digits.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// byteCount writes a number of bytes.
func byteCount(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n == 1:
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}
