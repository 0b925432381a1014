package report

import (
	"bufio"
	"html"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// style is all there is of design: a page that prints on A4, and that becomes
// a list of cards on a phone.
const style = `
:root{color-scheme:light dark;--ink:#1a1d21;--faint:#5c636b;--line:#d5d9de;--paper:#fff;--tint:#f4f6f8}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ec;--faint:#9aa3ad;--line:#3a4149;--paper:#15181b;--tint:#1f2429}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.5rem;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;line-height:1.2;margin:0 0 .5rem}
h2{font-size:1.1rem;margin:2rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}
p{margin:.4rem 0;max-width:50rem}
table{border-collapse:collapse;width:100%;margin:.5rem 0;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid var(--line)}
th{color:var(--faint);font-weight:600}
thead th,.time{white-space:nowrap}
.whole{overflow-wrap:normal}
table.facts th{width:14rem}
pre{background:var(--tint);padding:.75rem;white-space:pre-wrap;font:.86rem/1.4 ui-monospace,monospace}
@media screen and (max-width:45rem){
body{padding:1rem}
table.list thead{display:none}
table.list tr{display:block;border:1px solid var(--line);padding:.4rem .6rem;margin:.5rem 0}
table.list td{display:flex;gap:.75rem;border:0;padding:.1rem 0}
table.list td::before{content:attr(data-label);flex:0 0 6.5rem;color:var(--faint)}
table.facts th{width:8rem}
}
@page{size:A4;margin:15mm}
@media print{
:root{color-scheme:light;--ink:#000;--faint:#444;--line:#bbb;--paper:#fff;--tint:#f4f4f4}
body{padding:0;max-width:none;font-size:9.5pt}
h2,thead,tr,pre{break-inside:avoid}
h2{break-after:avoid;margin-top:1.2rem}
thead{display:table-header-group}
table{font-size:8pt}
}
`

// WriteHTML writes the report as one file that needs no other: no script, no
// font, no picture. No text in it that came from elsewhere is markup.
func (r Report) WriteHTML(w io.Writer) error {
	out := page{bufio.NewWriter(w)}
	d := r.document()
	out.write(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>`, html.EscapeString(d.title), "</title>\n<style>", style, "</style>\n</head>\n<body>\n<header>\n")
	out.element("h1", d.title)
	out.paragraphs(d.lead)
	out.write("</header>\n<main>\n")
	for _, s := range d.sections {
		out.write("<section>\n")
		out.element("h2", s.title)
		out.paragraphs(s.text)
		out.table(s.table)
		if s.code != "" {
			out.element("pre", s.code)
		}
		out.write("</section>\n")
	}
	out.write("</main>\n</body>\n</html>\n")
	return out.w.Flush()
}

// page writes HTML; its writer keeps the first error for Flush.
type page struct{ w *bufio.Writer }

func (p page) write(parts ...string) {
	for _, s := range parts {
		_, _ = p.w.WriteString(s)
	}
}

func (p page) element(name, text string) {
	p.write("<", name, ">", html.EscapeString(text), "</", name, ">\n")
}

func (p page) paragraphs(all []string) {
	for _, text := range all {
		p.element("p", text)
	}
}

// longestWhole is the longest word for which a narrow column still has room.
const longestWhole = 12

// breaks lets names such as absolute_threshold/latency_spike go on in the next line.
var breaks = strings.NewReplacer("/", "/<wbr>", "_", "_<wbr>")

// whole says that no word of a cell needs to be broken, wherever it stands.
func whole(cell string) bool {
	for _, word := range strings.FieldsFunc(cell, func(r rune) bool { return strings.ContainsRune(" -/_", r) }) {
		if utf8.RuneCountInString(word) > longestWhole {
			return false
		}
	}
	return true
}

// table writes a list with a head, or facts, whose head is their first column.
func (p page) table(t table) {
	if len(t.rows) == 0 {
		return
	}
	if t.facts() {
		p.write("<table class=\"facts\">\n<tbody>\n")
		for _, row := range t.rows {
			p.write(`<tr><th scope="row">`, html.EscapeString(row[0]), "</th><td>", html.EscapeString(row[1]), "</td></tr>\n")
		}
		p.write("</tbody>\n</table>\n")
		return
	}
	p.write("<table class=\"list\">\n<thead><tr>")
	for _, h := range t.head {
		p.write(`<th scope="col">`, html.EscapeString(h), "</th>")
	}
	p.write("</tr></thead>\n<tbody>\n")
	for _, row := range t.rows {
		p.write("<tr>")
		for n, cell := range row {
			class := ""
			if _, err := time.Parse(time.DateTime, cell); err == nil {
				class = ` class="time"`
			} else if whole(cell) {
				class = ` class="whole"`
			}
			p.write("<td", class, ` data-label="`, html.EscapeString(t.head[n]), `"><span>`, breaks.Replace(html.EscapeString(cell)), "</span></td>")
		}
		p.write("</tr>\n")
	}
	p.write("</tbody>\n</table>\n")
}
