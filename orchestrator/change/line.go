package change

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

// Line tells of the change in one line, as seen at a time, such as
//
//	3m earlier — a1b2c3d "Fix checkout query isolation level" (author, +12/−3) · touches database files
//
// What is not known is left out. It is safe to print whatever the change
// says; it holds no markup and escapes none.
func (c Change) Line(at time.Time) string {
	var b strings.Builder
	b.WriteString(age(at.Sub(c.At)))
	b.WriteString(" —")
	kind, ref, title := plain.Line(c.Kind, maxRef), plain.Line(c.Ref, maxRef), plain.Line(c.Title, maxTitle)
	if kind != "" && kind != "commit" {
		b.WriteString(" " + kind)
	}
	if ref != "" {
		b.WriteString(" " + ref)
	}
	if title != "" {
		// A quote in a title must not look like its end.
		b.WriteString(` "` + strings.ReplaceAll(title, `"`, "'") + `"`)
	}
	if ref == "" && title == "" {
		b.WriteString(" (no title)")
	}
	var about []string
	if author := plain.Line(c.Author, maxAuthor); author != "" {
		about = append(about, author)
	}
	if c.Added > 0 || c.Removed > 0 {
		about = append(about, fmt.Sprintf("+%d/−%d", bounded(c.Added), bounded(c.Removed)))
	}
	if len(about) > 0 {
		b.WriteString(" (" + strings.Join(about, ", ") + ")")
	}
	if touches := union(c.Touches, nil); len(touches) > 0 {
		b.WriteString(" · touches " + list(touches) + " files")
	}
	return b.String()
}

// age is a duration in its largest whole unit.
func age(d time.Duration) string {
	suffix := " earlier"
	if d <= -time.Second {
		d, suffix = -max(d, -math.MaxInt64), " later"
	}
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds%s", d/time.Second, suffix)
	case d < time.Hour:
		return fmt.Sprintf("%dm%s", d/time.Minute, suffix)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%s", d/time.Hour, suffix)
	}
	return fmt.Sprintf("%dd%s", d/(24*time.Hour), suffix)
}

// list is "a", "a and b", "a, b and c".
func list(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
