package incident

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// timeForm shows a time to a person.
const timeForm = "2006-01-02 15:04:05Z"

// WriteText writes the case for a reader: what it is, what happened and when, and
// what was said of it. The texts of entries come from whoever wrote the ledger, and
// are cleaned.
func (c Case) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s  %s  %s\n", c.ID, c.Stage, clean(c.Service, maxName))
	line := func(name, format string, args ...any) {
		fmt.Fprintf(out, "%-10s%s\n", name+":", clean(fmt.Sprintf(format, args...), maxReason))
	}
	line("tenant", "%s", c.Tenant)
	line("began", "%s%s", c.StartedAt.UTC().Format(timeForm), inShadow(c.Shadow))
	if !c.EndedAt.IsZero() {
		line("ended", "%s, after %s", c.EndedAt.UTC().Format(timeForm), c.EndedAt.Sub(c.StartedAt).Round(time.Second))
	}
	line("gates", "%s", strings.Join(c.Gates, ", "))
	line("reason", "%s", c.Reason)
	if mark, ok := c.Mark(); ok {
		line("marked", "%s by %s%s", strings.ReplaceAll(mark.Entry.text("verdict"), "_", " "),
			strings.TrimPrefix(mark.Entry.Actor, humanPrefix), causeOf(mark.Entry)+note(mark.Entry.text("note")))
	}
	for _, change := range c.changes() {
		line("changed", "%s", change)
	}
	fmt.Fprint(out, "\n   entry  time                  step                by            why\n")
	for _, e := range c.Timeline() {
		fmt.Fprintf(out, "%8d  %s  %-18s  %-12s  %s\n", e.Index, e.Entry.Time.UTC().Format(timeForm),
			clean(e.Entry.Kind, maxName), clean(e.Entry.Actor, maxName), clean(e.Entry.Reason, maxReason))
		for _, ev := range e.Entry.Evidence {
			fmt.Fprintf(out, "%8s  %-13s  %7d bytes  %s\n", "", clean(ev.Name, maxName), ev.Len, clean(ev.SHA256, maxName))
		}
	}
	if c.Left > 0 {
		fmt.Fprintf(out, "%8s  and %d entries more\n", "", c.Left)
	}
	for i, e := range c.Effects() {
		if i == 0 {
			fmt.Fprint(out, "\n   entry  what was said, or would have been\n")
		}
		fmt.Fprintf(out, "%8d  %s: %s\n", e.Index, effectName(e.Entry), effectText(e.Entry))
	}
	return out.Flush()
}

func inShadow(on bool) string {
	if on {
		return ", in shadow mode"
	}
	return ""
}

func causeOf(mark Entry) string {
	if mark.text("cause") == "" {
		return ""
	}
	return ", cause " + mark.text("cause")
}

func note(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// effectName is an effect in words.
func effectName(e Entry) string {
	if e.Kind == KindEffectSuppressed {
		return "suppressed " + strings.ReplaceAll(clean(e.text("suppressed_action"), maxName), "_", " ")
	}
	if e.Kind == KindEffectReceipt {
		list, _ := e.effects()
		return "receipt of " + strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
	}
	return strings.ReplaceAll(clean(e.text("effect"), maxName), "_", " ")
}

// effectText is what was said, or of a receipt what became of it.
func effectText(e Entry) string {
	if e.Kind != KindEffectReceipt {
		return clean(e.text("text"), maxText)
	}
	text := clean(e.Decision, maxName)
	for _, part := range []struct{ name, before string }{{"contact", " to "}, {"channel", " by "}, {"key", " with the key "}} {
		if value := clean(e.text(part.name), maxName); value != "" {
			text += part.before + value
		}
	}
	if reason := clean(e.Reason, maxReason); reason != "" {
		text += ": " + reason
	}
	return text
}

// changes are the lines of what changed before the incident.
func (c Case) changes() []string {
	var lines []string
	list, _ := c.Entries[0].Entry.Metadata["changes"].([]any)
	for _, item := range list {
		if text, ok := item.(string); ok {
			lines = append(lines, text)
		}
	}
	return lines
}
