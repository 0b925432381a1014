// Package page writes reports as Markdown, and the figures beside them.
package page

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Table writes one. What is in a cell may be any text.
func Table(b *strings.Builder, head []string, rows [][]string) {
	line := func(cells []string) {
		b.WriteString("|")
		for _, c := range cells {
			b.WriteString(" " + Cell(c) + " |")
		}
		b.WriteString("\n")
	}
	line(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, row := range rows {
		line(row)
	}
	b.WriteString("\n")
}

// Cell makes a text fit into one cell.
var Cell = strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace

// Directory is where a report goes: where it was told, else beside the committed ones, or, of a short run, beside what
// was built.
func Directory(told string, short bool) string {
	switch {
	case told != "":
		return told
	case short:
		return filepath.Join("bin", "bench")
	}
	return filepath.Join("bench", "results")
}

// Write writes a text and its figures into a directory, over earlier ones: NAME.md and NAME.json.
func Write(dir, name, text string, figures any) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("the report cannot be kept: %w", err)
	}
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(figures); err != nil {
		return fmt.Errorf("the figures cannot be written: %w", err)
	}
	for _, f := range []struct {
		file string
		data []byte
	}{{name + ".md", []byte(text)}, {name + ".json", data.Bytes()}} {
		if err := os.WriteFile(filepath.Join(dir, f.file), f.data, 0o644); err != nil {
			return fmt.Errorf("the report cannot be kept: %w", err)
		}
	}
	return nil
}
