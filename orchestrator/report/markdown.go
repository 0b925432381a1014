package report

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
)

// WriteJSON writes the report for a program: an object, indented.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteMarkdown writes the report in GitHub Flavored Markdown. No text in it
// that came from elsewhere is markup.
func (r Report) WriteMarkdown(w io.Writer) error {
	out := bufio.NewWriter(w)
	d := r.document()
	write := func(parts ...string) {
		for _, p := range parts {
			_, _ = out.WriteString(p) // out keeps the first error for Flush
		}
	}
	write("# ", markdown(d.title), "\n")
	for _, p := range d.lead {
		write("\n", markdown(p), "\n")
	}
	for _, s := range d.sections {
		write("\n## ", markdown(s.title), "\n")
		for _, p := range s.text {
			write("\n", markdown(p), "\n")
		}
		switch {
		case len(s.table.rows) == 0:
		case s.table.facts():
			write("\n")
			for _, row := range s.table.rows {
				write("- ", markdown(row[0]), ": ", markdown(row[1]), "\n")
			}
		default:
			write("\n", markdownRow(s.table.head), "|", strings.Repeat(" --- |", len(s.table.head)), "\n")
			for _, row := range s.table.rows {
				write(markdownRow(row))
			}
		}
		if s.code != "" {
			fence := fenceFor(s.code)
			write("\n", fence, "\n", s.code, "\n", fence, "\n")
		}
	}
	return out.Flush()
}

func markdownRow(cells []string) string {
	var b strings.Builder
	b.WriteString("|")
	for _, c := range cells {
		b.WriteString(" " + markdown(c) + " |")
	}
	b.WriteString("\n")
	return b.String()
}

// markdowns escapes what would be markup, in a table or out of it, and what is
// made into a link without any.
var markdowns = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", `*`, `\*`, `_`, `\_`, `[`, `\[`, `]`, `\]`, `<`, `&lt;`, `>`, `&gt;`, `&`, `&amp;`,
	`|`, `\|`, `~`, `\~`, `#`, `\#`, `!`, `\!`, `$`, `\$`, `@`, `\@`, `://`, `:\//`, `www.`, `www\.`, `WWW.`, `WWW\.`,
)

func markdown(s string) string { return markdowns.Replace(s) }

// fenceFor is longer than every run of backticks in the code.
func fenceFor(code string) string {
	fence := "```"
	for strings.Contains(code, fence) {
		fence += "`"
	}
	return fence
}
