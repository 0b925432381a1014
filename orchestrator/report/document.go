package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/incident"
	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// document is the report as people read it, whatever the markup.
type document struct {
	title    string
	lead     []string // paragraphs
	sections []section
}

// section is a heading and what stands below it, each part if there is one.
type section struct {
	title string
	text  []string
	table table
	code  string
}

// table is empty without rows.
type table struct {
	head []string
	rows [][]string
}

// facts says that the table has no head: its first column names what the second has.
func (t table) facts() bool { return len(t.head) == 2 && t.head[0] == "" }

// maxCell is how much of a text is shown, in characters; the JSON has all of it.
const maxCell = 400

// document tells the report.
func (r Report) document() document {
	return document{
		title: r.title(),
		lead:  r.lead(),
		sections: []section{
			r.overview(), r.modes(), r.incidents(), r.notices(), r.targets(), r.policies(), r.denied(), r.proof(),
		},
	}
}

// title names the service, and the tenant where that is another name.
func (r Report) title() string {
	if len(r.Services) != 1 || r.Services[0] == r.Tenant {
		return "Shadow report: " + clean(r.Tenant)
	}
	return fmt.Sprintf("Shadow report: %s (tenant %s)", clean(r.Services[0]), clean(r.Tenant))
}

func (r Report) lead() []string {
	period := fmt.Sprintf("%s to %s UTC, made %s UTC.", stamp(r.Period.From), stamp(r.Period.To), stamp(r.At))
	if r.Period.Entries == 0 {
		return []string{period, "The ledger has no entry of this tenant in this period."}
	}
	x, in := r.Effects, r.Incidents
	text := []string{period, fmt.Sprintf("%s seen. Shadow mode kept back %s, %s and %s.",
		counted(in.Total, "incident was", "incidents were"), counted(x.Notifications, "notification", "notifications"),
		counted(x.Links, "approval link", "approval links"), counted(x.Executions, "execution", "executions"))}
	if in.Total > 0 {
		text = append(text, fmt.Sprintf("Marked by people: %s, %d confirmed; %d not marked.",
			counted(in.FalseAlarms, "false alarm", "false alarms"), in.Confirmed, in.Unmarked))
	}
	return text
}

func (r Report) overview() section {
	in := r.Incidents
	rows := [][]string{
		{"Service", orNone(clean(strings.Join(r.Services, ", ")))},
	}
	if r.Period.Entries > 0 {
		rows = append(rows, []string{"Entries", fmt.Sprintf("%d, between numbers %d and %d of the ledger", r.Period.Entries, r.Period.First, r.Period.Last)})
	}
	if r.Shadow.Share != nil {
		rows = append(rows, []string{"In shadow mode", fmt.Sprintf("%.1f %% of the time; at the end: %s", 100**r.Shadow.Share, mode(r.Shadow.Now))})
	}
	var stages []string
	for _, s := range slices.Sorted(maps.Keys(in.ByStage)) {
		stages = append(stages, fmt.Sprintf("%d %s", in.ByStage[s], clean(s)))
	}
	total := fmt.Sprint(in.Total)
	if len(stages) > 0 {
		total += ", of which " + strings.Join(stages, ", ")
	}
	rows = append(rows,
		[]string{"Incidents", total},
		[]string{"Marked by people", fmt.Sprintf("%s, %d confirmed, %d not marked", counted(in.FalseAlarms, "false alarm", "false alarms"), in.Confirmed, in.Unmarked)})
	if d := in.Detection; d.Known > 0 {
		rows = append(rows, []string{"Detection", fmt.Sprintf("%s on average and %s at most, from the tick that found the breach to its entry in the ledger", seconds(d.Mean), seconds(d.Max))})
	}
	x := r.Effects
	var events []string
	for _, e := range slices.Sorted(maps.Keys(x.ByEvent)) {
		events = append(events, fmt.Sprintf("%d %s", x.ByEvent[e], clean(spaced(e))))
	}
	notifications := fmt.Sprint(x.Notifications)
	if len(events) > 0 {
		notifications += ", of which " + strings.Join(events, ", ")
	}
	rows = append(rows,
		[]string{"Notifications kept back", notifications},
		[]string{"Approval links kept back", fmt.Sprint(x.Links)},
		[]string{"Executions kept back", fmt.Sprint(x.Executions)})
	if x.Other > 0 {
		rows = append(rows, []string{"Other effects kept back", fmt.Sprint(x.Other)})
	}
	if x.Due > 0 {
		rows = append(rows, []string{"Effects due while live", fmt.Sprint(x.Due)})
	}
	return section{title: "At a glance", table: table{[]string{"", ""}, rows}}
}

func (r Report) modes() section {
	s := section{title: "Shadow mode"}
	if len(r.Shadow.Periods) == 0 {
		s.text = []string{"Nothing is known of this period."}
		return s
	}
	s.text = leftOut(s.text, r.Shadow.LeftOut, "earlier period")
	s.table.head = []string{"Mode", "From", "To", "For", "By", "Because", "Entry"}
	for _, p := range slices.Backward(r.Shadow.Periods) {
		by, entry := "as installed", "–"
		if p.Entry != nil {
			by, entry = clean(p.Who), fmt.Sprint(*p.Entry)
		}
		s.table.rows = append(s.table.rows, []string{
			mode(p.Shadow), stamp(p.From), stamp(p.To), length(p.To.Sub(p.From)), by, orNone(clean(p.Why)), entry,
		})
	}
	return s
}

func (r Report) incidents() section {
	s := section{title: "Incidents"}
	if r.Incidents.Total == 0 {
		s.text = []string{"There was none."}
		return s
	}
	s.text = leftOut(s.text, r.Incidents.LeftOut, "earlier incident")
	s.table.head = []string{"Started", "Incident", "Reached", "Gates", "Detected in", "Lasted", "Marked", "Because"}
	for _, i := range r.Incidents.List {
		reached := string(i.Reached)
		if i.Stage != i.Reached {
			reached += ", then " + string(i.Stage)
		}
		if !i.Shadow {
			reached += " (live)"
		}
		lasted := "still open"
		if i.Stage.Terminal() {
			lasted = seconds(i.Duration)
		}
		s.table.rows = append(s.table.rows, []string{
			stamp(i.StartedAt), fmt.Sprintf("%s, entries %d–%d", clean(i.ID), i.First, i.Last), clean(reached), clean(strings.Join(i.Gates, ", ")), seconds(i.Detected), lasted,
			verdict(i), clean(i.Reason),
		})
	}
	return s
}

func verdict(i Incident) string {
	what := "–"
	switch i.Verdict {
	case incident.FalseAlarm:
		what = "false alarm"
	case incident.Confirmed:
		what = "confirmed"
	default:
		return what
	}
	what += " by " + clean(i.Who)
	if i.Note != "" {
		what += ": " + clean(i.Note)
	}
	return what
}

func (r Report) notices() section {
	s := section{title: "What would have been done"}
	if len(r.Effects.Notices) == 0 {
		s.text = []string{"Nothing was kept back."}
		return s
	}
	s.text = leftOut(s.text, r.Effects.LeftOut, "earlier effect")
	s.table.head = []string{"Time", "Effect", "About", "Incident", "Text", "Entry"}
	for _, n := range r.Effects.Notices {
		s.table.rows = append(s.table.rows, []string{
			stamp(n.Time), clean(spaced(n.Action)), clean(spaced(n.Event)), orNone(clean(n.IncidentID)), clean(n.Text), fmt.Sprint(n.Entry),
		})
	}
	return s
}

func (r Report) targets() section {
	s := section{title: "Targets"}
	if len(r.Targets) == 0 {
		s.text = []string{"No target went down."}
		return s
	}
	s.table.head = []string{"Target", "Went down", "Was called flapping"}
	for _, t := range r.Targets {
		s.table.rows = append(s.table.rows, []string{clean(t.Name), counted(t.Downs, "time", "times"), counted(t.Flapping, "time", "times")})
	}
	return s
}

func (r Report) policies() section {
	s := section{title: "Policies in force"}
	if len(r.Policies.List) == 0 {
		s.text = []string{"The ledger names none."}
		return s
	}
	if n := r.Policies.Unversioned; n > 0 {
		s.text = append(s.text, counted(n, "change has", "changes have")+" the version of the policy before, and other content.")
	}
	s.text = leftOut(s.text, r.Policies.LeftOut, "earlier policy")
	s.table.head = []string{"From", "To", "Version", "Digest", "Entry", "Note"}
	for _, p := range slices.Backward(r.Policies.List) {
		note := "–"
		if p.Unversioned {
			note = "CHANGED WITHOUT A NEW VERSION"
		}
		s.table.rows = append(s.table.rows, []string{stamp(p.From), stamp(p.To), clean(p.Version), clean(p.Digest), fmt.Sprint(p.Entry), note})
	}
	return s
}

func (r Report) denied() section {
	s := section{title: "Refused requests"}
	if len(r.Denied) == 0 {
		s.text = []string{"None is recorded."}
		return s
	}
	s.table.head = []string{"For", "Count"}
	for _, d := range r.Denied {
		s.table.rows = append(s.table.rows, []string{clean(d.What), fmt.Sprint(d.Count)})
	}
	return s
}

func (r Report) proof() section {
	return section{
		title: "How to verify this",
		text: []string{
			"This report is made of the ledger alone. It is worth as much as the ledger is: verify it, and compare the size and the root below with those that come out.",
			"A ledger that has grown since has another root; it verifies as a continuation of this one with a checkpoint kept from now.",
		},
		table: table{[]string{"", ""}, [][]string{
			{"Ledger", orNone(clean(r.Ledger.Origin))}, {"Size", fmt.Sprint(r.Ledger.Size)}, {"Root", clean(r.Ledger.Root)},
		}},
		code: clean(r.Ledger.VerifyCommand),
	}
}

func leftOut(text []string, n int, what string) []string {
	if n == 0 {
		return text
	}
	return append(text, counted(n, what+" is", what+"s are")+" counted and not listed here; a shorter period lists them.")
}

func mode(shadow bool) string {
	if shadow {
		return "shadow"
	}
	return "live"
}

func orNone(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

func spaced(s string) string { return strings.ReplaceAll(s, "_", " ") }

func stamp(t time.Time) string { return t.UTC().Format(time.DateTime) }

func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func seconds(s *float64) string {
	switch {
	case s == nil:
		return "–"
	case *s < 0.01:
		return "under 0.01 s"
	case *s < 10:
		return fmt.Sprintf("%.2f s", *s)
	}
	return length(time.Duration(*s * float64(time.Second)))
}

// length is a duration for a person: 3 d 4 h, 12 m 30 s.
func length(d time.Duration) string {
	d = d.Round(time.Second)
	units := []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}}
	var parts []string
	for _, u := range units {
		if n := d / u.of; n > 0 && len(parts) < 2 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.of
		} else if len(parts) > 0 {
			break
		}
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

// clean is text of any origin as a cell has it.
func clean(s string) string { return plain.Line(s, maxCell) }
