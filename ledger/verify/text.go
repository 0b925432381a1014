package verify

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
)

// Columns of the text: the names of the lines, and what they say.
const (
	labelWidth = 16
	textWidth  = 96
)

// printable is text without anything that a terminal could obey: names and paths
// come from whoever made the log.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsGraphic(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// wrap breaks a text at spaces into lines of that many characters; a longer word
// has its own.
func wrap(text string, width int) []string {
	var lines []string
	for len(text) > width {
		at := strings.LastIndexByte(text[:width+1], ' ')
		if at < 0 {
			at = strings.IndexByte(text, ' ')
		}
		if at < 0 {
			break
		}
		lines, text = append(lines, text[:at]), text[at+1:]
	}
	return append(lines, text)
}

// WriteText writes the report for a reader: the verdict and what of in the first
// line, then what it rests on; with a problem, where it is, what there should
// have been and how far the log is proven.
func (r *Report) WriteText(w io.Writer) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s%s\n", r.Verdict, printable(r.subject()))
	line := func(name, format string, args ...any) {
		label := name + ":"
		if name == "" {
			label = ""
		}
		for _, part := range wrap(printable(fmt.Sprintf(format, args...)), textWidth) {
			fmt.Fprintf(out, "%-*s%s\n", labelWidth, label, part)
			label = ""
		}
	}
	if p := r.Problem; p != nil {
		line("first problem", "%s", p)
		if p.Expected != "" {
			line("expected", "%s", p.Expected)
		}
		if p.Found != "" {
			line("found", "%s", p.Found)
		}
	}
	if r.Root != "" {
		r.writeProof(line)
	}
	for _, note := range r.Notes {
		line("note", "%s", note)
	}
	if r.Code != Verified {
		line("exit code", "%d: %s", int(r.Code), r.Code.Meaning())
	}
	return out.Flush()
}

// subject is what the verdict is about.
func (r *Report) subject() string {
	switch {
	case r.Origin == "":
		return ""
	case r.Index != nil:
		return fmt.Sprintf("  %s  entry %s of %s", r.Origin, count(*r.Index), plural(r.Size, "entry", "entries"))
	default:
		return fmt.Sprintf("  %s  %s", r.Origin, plural(r.Size, "entry", "entries"))
	}
}

// writeProof writes how far the proof goes, and what it rests on.
func (r *Report) writeProof(line func(name, format string, args ...any)) {
	if r.Code != Verified && r.Index == nil {
		line("proven", "%s", r.proven())
	}
	line("root", "%s", r.Root)
	if r.Key != "" {
		line("key", "%s", r.Key)
		line("", "%s", r.aboutKey())
	}
	if r.Tier != "" {
		line("tier", "%s: %s", r.Tier, r.aboutTier())
	}
	if r.AnchoredTo > 0 {
		line("anchored to", "%s", plural(r.AnchoredTo, "entry", "entries"))
	}
	if r.WitnessedTo > 0 {
		line("witnessed to", "%s, by %s", plural(r.WitnessedTo, "entry", "entries"), strings.Join(r.Witnesses, ", "))
	} else if len(r.Witnesses) > 0 {
		line("witnesses", "%s, who are no quorum", strings.Join(r.Witnesses, ", "))
	}
	if r.Index == nil {
		line("checked", "%s, %s", plural(r.Entries, "entry", "entries"), plural(r.Blobs, "blob", "blobs"))
	}
}

// proven says which entries are those that were signed.
func (r *Report) proven() string {
	switch {
	case !r.Signed:
		return "nothing, as no known key has signed the checkpoint"
	case r.ProvenTo == 0:
		return "nothing"
	case r.ProvenTo == 1:
		return "entry 0 is the one that was signed"
	case r.ProvenTo == r.Size:
		return fmt.Sprintf("all entries, 0 to %s, are those that were signed", count(r.ProvenTo-1))
	default:
		return fmt.Sprintf("entries 0 to %s are those that were signed", count(r.ProvenTo-1))
	}
}

func (r *Report) aboutKey() string {
	about := "given: the checkpoint is signed by it"
	switch {
	case r.OwnKey:
		about = "the log's own, as none was given: it shows that the log is whole, not whose it is"
	case r.GivenKey != "":
		about = "follows from the given key by what that one has signed in the log: the checkpoint is signed by it"
	}
	if r.Rotations > 0 {
		about += fmt.Sprintf("; it is the log's key number %d", r.Rotations+1)
	}
	return about
}

func (r *Report) aboutTier() string {
	switch {
	case r.Index != nil && r.Tier == Unanchored:
		return "the key has signed a log with this entry in this place; whoever has the key can sign another log without it"
	case r.Index != nil && r.Tier == Anchored:
		return "the checkpoint you kept is of a log with this entry in this place"
	}
	switch r.Tier {
	case Witnessed:
		later := ""
		if r.WitnessedTo < r.Size {
			later = "later ones they have not seen; "
		}
		return fmt.Sprintf("a quorum of witnesses saw the first %s and no other history before; %s"+
			"that what the entries say is true does not follow", plural(r.WitnessedTo, "entry", "entries"), later)
	case Anchored:
		return fmt.Sprintf("the first %s are those of the checkpoint you kept; "+
			"later ones could have been changed by whoever has the key until you keep a later one", plural(r.AnchoredTo, "entry", "entries"))
	default:
		return "the log is whole and as its key signed it; whoever has the key could have written all of it anew, " +
			"which only a checkpoint kept elsewhere would show"
	}
}

// String is where the problem is, and what it is.
func (p *Problem) String() string {
	text := p.Text
	if p.Resource != "" {
		text = p.Resource + ": " + text
	}
	switch {
	case p.Index != nil:
		return fmt.Sprintf("entry %s: %s", count(*p.Index), text)
	case p.Range != nil:
		return fmt.Sprintf("among entries %s to %s: %s", count(p.Range[0]), count(p.Range[1]), text)
	default:
		return text
	}
}

// count writes a number in groups of three digits.
func count(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func plural(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
