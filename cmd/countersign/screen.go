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
)

// screenWidth is what fits on the narrowest terminal in use.
const screenWidth = 80

// topRoutes is how many routes the screen has room for.
const topRoutes = 8

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
	b.line("%s → %s", s.Listen, s.Upstream)
	b.line("")
	figures(b, d)
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
	ledgerLine(b, s.Ledger)
	b.line("Proxy      %d client and %d upstream connections, %d retries", s.Proxy.ClientConns, s.Proxy.UpstreamConns, s.Proxy.Retries)
	b.line("Errors     %s", tally(s.Proxy.Errors))
	b.line("Seen       %d requests, routes: %d, not measured: %s", s.Traffic.Seen, s.Traffic.Routes, tally(s.Traffic.Unmeasured))
	return strings.Join(b.lines, "\n") + "\n"
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

func figures(b *page, d health.Document) {
	m := d.Metrics
	b.line("Score      %.0f of 100, %s, %s (latency %s, errors %s, anomalies %s)", d.HealthScore.Score, d.HealthScore.Status, d.HealthScore.Trend,
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
		b.line("           nothing was measured yet: send your traffic through the sidecar")
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
		b.line("%-10s %s: %s", label, a.Severity, a.Message)
	}
}

// decided is what was decided and recorded, and of which targets.
func decided(b *page, s api.Status) {
	if d := s.Decisions; d != nil {
		switch {
		case d.Open != nil:
			b.line("Incident   %s, %s since %s: %s", d.Open.ID, d.Open.Stage, d.Open.StartedAt.Format("15:04:05Z"), d.Open.Reason)
		case d.Ready:
			b.line("Incident   none")
		}
		switch {
		case d.Problem != "":
			b.line("Decisions  not recorded: %s", d.Problem)
		case d.ShadowMode:
			b.line("Shadow     on: what would be done is recorded, and nothing is done")
		default:
			b.line("Shadow     off since %s", d.ShadowSince.Format(time.RFC3339))
		}
	}
	var targets []string
	for _, name := range slices.Sorted(maps.Keys(s.Targets)) {
		t := s.Targets[name]
		text := name + " " + string(t.State)
		if t.ConsecutiveFailures > 0 {
			text += fmt.Sprintf(" (%d failures in a row)", t.ConsecutiveFailures)
		}
		targets = append(targets, text)
	}
	if len(targets) > 0 {
		b.line("Targets    %s", strings.Join(targets, ", "))
	}
}

func routes(b *page, d health.Document) {
	if len(d.Routes) == 0 {
		return
	}
	b.line("")
	b.line("%-44s %11s %9s %10s", "ROUTE", "P95", "ERRORS", "SAMPLES")
	for _, r := range d.Routes[:min(topRoutes, len(d.Routes))] {
		b.line("%-44s %11s %9s %10d", clip(r.Route, 44), millis(r.P95MS), percent(r.ErrorRate), r.SampleSize)
	}
	if more := len(d.Routes) - topRoutes; more > 0 {
		b.line("and %d more", more)
	}
}

// page collects lines and keeps them within the width.
type page struct{ lines []string }

func (p *page) line(text string, args ...any) {
	p.lines = append(p.lines, strings.TrimRight(clip(printable(fmt.Sprintf(text, args...)), screenWidth), " "))
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
