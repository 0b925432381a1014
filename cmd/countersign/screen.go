package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/countersign-dev/countersign/orchestrator/api"
	"github.com/countersign-dev/countersign/orchestrator/health"
	"github.com/countersign-dev/countersign/orchestrator/journal"
	"github.com/countersign-dev/countersign/orchestrator/outbox"
)

// screenWidth is what fits on the narrowest terminal in use.
const screenWidth = 80

// screenHeight is what the screen keeps to by showing fewer routes.
const screenHeight = 30

// topRoutes and leastRoutes are how many routes are shown, if there is room.
const topRoutes, leastRoutes = 8, 3

// topReasons is for how many targets it says why.
const topReasons = 3

// ANSI colours by verdict.
var paints = map[health.Status]string{health.OK: "\x1b[32m", health.Warning: "\x1b[33m", health.Critical: "\x1b[31m"}

const unpaint = "\x1b[0m"

// screen lays s out in lines of at most screenWidth characters.
func screen(s api.Status, paint bool) string {
	d := s.Health
	b := &page{}
	verdict := strings.ToUpper(string(d.Status))
	right := fmt.Sprintf("countersign %s, up %s", s.Build.Version, uptime(s.UptimeSeconds))
	b.spread(fmt.Sprintf("%s  %s", verdict, d.ServiceName), right)
	if paint {
		b.lines[0] = paints[d.Status] + verdict + unpaint + strings.TrimPrefix(b.lines[0], verdict)
	}
	b.line("%s", path(s))
	b.line("")
	figures(b, s)
	if !s.Ready {
		b.line("Not ready  %s", s.ReadyProblem)
	}
	if !s.Alive {
		b.line("Not alive  %s", s.AliveProblem)
	}
	alerts(b, d)
	decided(b, s)
	routes(b, d)
	b.line("")
	outboxLine(b, s.Outbox)
	ledgerLine(b, s.Ledger)
	sensors(b, s)
	b.line("Seen       %d requests, routes: %d, not measured: %s", s.Traffic.Seen, s.Traffic.Routes, tally(s.Traffic.Unmeasured))
	return b.text()
}

// outboxLine is there when something has not been said.
func outboxLine(b *page, s *outbox.Status) {
	if s == nil {
		return
	}
	var idle []string
	for _, name := range slices.Sorted(maps.Keys(s.Channels)) {
		if state := s.Channels[name]; state != "closed" {
			idle = append(idle, name+" "+state)
		}
	}
	text := ""
	switch {
	case s.Problem != "":
		text = s.Problem
	case s.Pending > 0 || s.Dead > 0:
		text = counted(s.Pending, "message") + " to send, " + counted(s.Dead, "dead letter")
	case len(idle) == 0:
		return
	default:
		text = "nothing waits"
	}
	if len(idle) > 0 {
		text += "; " + strings.Join(idle, ", ")
	}
	b.wrapped("Outbox     ", text)
}

func ledgerLine(b *page, r *journal.Report) {
	switch {
	case r == nil:
	case r.State == journal.Open:
		b.line("Ledger     %s, root %s", entryCount(r.Size), r.Root)
	case r.Problem != "":
		b.line("Ledger     %s: %s", r.State, r.Problem)
	default:
		b.line("Ledger     %s", r.State)
	}
}

func figures(b *page, s api.Status) {
	d := s.Health
	m := d.Metrics
	b.line("Score      %.0f of 100, %s, %s", d.HealthScore.Score, d.HealthScore.Status, d.HealthScore.Trend)
	b.line("           latency %s, errors %s, anomalies %s",
		number("%.0f", d.HealthScore.Components.Latency), number("%.0f", d.HealthScore.Components.Errors), number("%.0f", d.HealthScore.Components.Anomalies))
	p95 := millis(m.OverallP95MS)
	if m.P95BracketMS != nil {
		p95 += fmt.Sprintf(" (between %.3f and %.3f)", m.P95BracketMS[0], m.P95BracketMS[1])
	}
	b.line("P95        %s", p95)
	b.line("           P50 %s, P99 %s, max %s", millis(m.P50MS), millis(m.P99MS), millis(m.MaxMS))
	b.line("Traffic    %s requests/s, %s errors, %d in flight, %d samples",
		number("%.1f", m.RequestsPerSecond), percent(m.ErrorRate), m.InFlight, m.SampleSize)
	if d.Reason == "no_data" {
		b.wrapped("           ", "nothing was measured yet: send your traffic "+where(s))
	}
}

func alerts(b *page, d health.Document) {
	if len(d.Alerts) == 0 {
		b.line("Alerts     none")
		return
	}
	for i, a := range d.Alerts {
		label := "Alerts"
		if i > 0 {
			label = ""
		}
		b.wrapped(fmt.Sprintf("%-10s ", label), string(a.Severity)+": "+a.Message)
	}
}

// decided is what was decided and recorded, and of which targets.
func decided(b *page, s api.Status) {
	if d := s.Decisions; d != nil {
		switch {
		case d.Open != nil:
			b.line("Incident   %s, %s, began %s", d.Open.ID, d.Open.Stage, d.Open.StartedAt.UTC().Format(time.DateTime+"Z"))
			b.wrapped("           ", d.Open.Reason)
		case d.Ready:
			b.line("Incident   none")
		}
		switch {
		case d.Problem != "":
			b.line("Decisions  not recorded: %s", d.Problem)
		case d.ShadowMode:
			b.line("Shadow     on: what would be done is recorded, and nothing is done")
		default:
			b.line("Shadow     off since %s", d.ShadowSince.UTC().Format(time.RFC3339))
		}
	}
	targets(b, s.Targets)
}

// targets names all of them on one line, and below it why a check failed.
func targets(b *page, all map[string]api.TargetStatus) {
	var names, reasons []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t := all[name]
		text := name + " " + string(t.State)
		if t.Flapping {
			text += " and flapping"
		}
		if t.ConsecutiveFailures > 0 {
			text += fmt.Sprintf(" (%s in a row)", counted(t.ConsecutiveFailures, "failure"))
			if t.Reason != "" {
				reasons = append(reasons, name+": "+t.Reason)
			}
		}
		names = append(names, text)
	}
	if len(names) == 0 {
		return
	}
	b.line("Targets    %s", strings.Join(names, ", "))
	for _, reason := range reasons[:min(topReasons, len(reasons))] {
		b.line("           %s", reason)
	}
}

// counted is the number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func routes(b *page, d health.Document) {
	if len(d.Routes) == 0 {
		return
	}
	b.line("")
	b.line("%-44s %11s %9s %10s", "ROUTE", "P95", "ERRORS", "SAMPLES")
	const below = 6 // lines
	shown := min(topRoutes, max(leastRoutes, screenHeight-len(b.lines)-below), len(d.Routes))
	for _, r := range d.Routes[:shown] {
		b.line("%-44s %11s %9s %10d", clip(r.Route, 44), millis(r.P95MS), percent(r.ErrorRate), r.SampleSize)
	}
	if more := len(d.Routes) - shown; more > 0 {
		b.line("and %d more", more)
	}
}

// page collects lines and keeps them within the width.
type page struct{ lines []string }

func (p *page) line(text string, args ...any) {
	p.lines = append(p.lines, strings.TrimRight(clip(printable(fmt.Sprintf(text, args...)), screenWidth), " "))
}

// long is a line that may be longer than the screen is wide: what has to be read whole.
func (p *page) long(text string, args ...any) {
	p.lines = append(p.lines, strings.TrimRight(printable(fmt.Sprintf(text, args...)), " "))
}

func (p *page) text() string { return strings.Join(p.lines, "\n") + "\n" }

// maxWrapped is how many lines a text may take up.
const maxWrapped = 2

// wrapped breaks text at its spaces into lines, the first of which begins with
// label and the others with as many spaces.
func (p *page) wrapped(label, text string) {
	line, empty, lines := label, true, 1
	for _, word := range strings.Fields(text) {
		if !empty && lines < maxWrapped && len([]rune(line))+1+len([]rune(word)) > screenWidth {
			p.line("%s", line)
			line, empty = strings.Repeat(" ", len(label)), true
			lines++
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	p.line("%s", line)
}

// spread puts one text at each end of the line, the left one giving way.
func (p *page) spread(left, right string) {
	room := screenWidth - len([]rune(right)) - 2
	p.line("%-*s  %s", max(room, 1), clip(left, max(room, 1)), right)
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// printable keeps what others have written, clients into a path for instance,
// from steering the terminal, or from turning the text around.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return '?'
		}
		return r
	}, s)
}

func number(layout string, v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf(layout, *v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", *v*100)
}

func millis(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v >= 10000:
		return fmt.Sprintf("%.1f s", *v/1000)
	case *v >= 100:
		return fmt.Sprintf("%.1f ms", *v)
	}
	return fmt.Sprintf("%.2f ms", *v)
}

func uptime(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second)).Truncate(time.Second)
	if d >= 24*time.Hour {
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	}
	return d.String()
}

// tally lists counts by name, the largest first.
func tally(counts map[string]uint64) string {
	type entry struct {
		name  string
		count uint64
	}
	var all []entry
	for name, n := range counts {
		if n > 0 {
			all = append(all, entry{name, n})
		}
	}
	if len(all) == 0 {
		return "none"
	}
	slices.SortFunc(all, func(a, b entry) int {
		if a.count != b.count {
			if a.count > b.count {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	var words []string
	for _, e := range all {
		words = append(words, fmt.Sprintf("%s %d", e.name, e.count))
	}
	return strings.Join(words, ", ")
}
