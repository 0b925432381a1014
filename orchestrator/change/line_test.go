package change

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

func TestLine(t *testing.T) {
	full := Change{Kind: "commit", At: noon, Ref: "a1b2c3d", Title: "Fix checkout query isolation level", Author: "author", Added: 12, Removed: 3, Touches: []string{"database"}}
	for name, tc := range map[string]struct {
		alter func(*Change)
		after time.Duration
		want  string
	}{
		"whole":             {func(*Change) {}, 3 * time.Minute, `3m earlier — a1b2c3d "Fix checkout query isolation level" (author, +12/−3) · touches database files`},
		"at once":           {func(*Change) {}, 0, `0s earlier — a1b2c3d "Fix checkout query isolation level" (author, +12/−3) · touches database files`},
		"nearly a minute":   {func(*Change) {}, time.Minute - 1, `59s earlier — a1b2c3d "Fix checkout query isolation level" (author, +12/−3) · touches database files`},
		"nearly an hour":    {func(c *Change) { c.Touches = nil }, time.Hour - 1, `59m earlier — a1b2c3d "Fix checkout query isolation level" (author, +12/−3)`},
		"nearly a day":      {func(c *Change) { c.Touches, c.Author = nil, "" }, 24*time.Hour - 1, `23h earlier — a1b2c3d "Fix checkout query isolation level" (+12/−3)`},
		"days":              {func(c *Change) { c.Touches, c.Added, c.Removed = nil, 0, 0 }, 73 * time.Hour, `3d earlier — a1b2c3d "Fix checkout query isolation level" (author)`},
		"later":             {func(c *Change) { c.Touches, c.Added, c.Author = nil, 0, "" }, -12 * time.Second, `12s later — a1b2c3d "Fix checkout query isolation level" (+0/−3)`},
		"without a hash":    {func(c *Change) { *c = Change{Kind: "flag", At: noon, Title: "new-checkout on"} }, time.Second, `1s earlier — flag "new-checkout on"`},
		"without a title":   {func(c *Change) { *c = Change{Kind: "commit", At: noon, Ref: "a1b2c3d"} }, time.Second, `1s earlier — a1b2c3d`},
		"without anything":  {func(c *Change) { *c = Change{At: noon} }, time.Second, `1s earlier — (no title)`},
		"two flags":         {func(c *Change) { c.Touches, c.Author, c.Added, c.Removed = []string{"config", "query"}, "", 0, 0 }, time.Second, `1s earlier — a1b2c3d "Fix checkout query isolation level" · touches query and config files`},
		"three flags":       {func(c *Change) { c.Touches, c.Author, c.Added, c.Removed = flags[:3], "", 0, 0 }, time.Second, `1s earlier — a1b2c3d "Fix checkout query isolation level" · touches database, query and migration files`},
		"unknown flags":     {func(c *Change) { c.Touches, c.Author, c.Added, c.Removed = []string{"\x1b[31m"}, "", 0, 0 }, time.Second, `1s earlier — a1b2c3d "Fix checkout query isolation level"`},
		"a title that ends": {func(c *Change) { c.Title, c.Author, c.Touches = `x" (ceo, +0/−0) · "`, "eve", nil }, time.Second, `1s earlier — a1b2c3d "x' (ceo, +0/−0) · '" (eve, +12/−3)`},
		"hostile": {func(c *Change) {
			c.Title, c.Ref, c.Author, c.Touches = "a\x1b[31m\r\nb\u202etxt.exe\u2028c", "a\tb", "e\u0000v\u200be", nil
		}, time.Second, `1s earlier — a b "a [31m btxt.exe c" (e ve, +12/−3)`},
		"absurd numbers": {func(c *Change) { c.Added, c.Removed, c.Touches = 1<<60, -5, nil }, time.Second, `1s earlier — a1b2c3d "Fix checkout query isolation level" (author, +10000000/−0)`},
	} {
		c := full
		tc.alter(&c)
		if got := c.Line(noon.Add(tc.after)); got != tc.want {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, tc.want)
		}
	}
	if got := (Change{Kind: "commit"}).Line(noon); !strings.Contains(got, "d earlier") {
		t.Errorf("a change without a time: %s", got)
	}
}

func TestFirstLine(t *testing.T) {
	if got := firstLine("\n\n  Fix it  \r\n\r\nBecause."); got != "Fix it" {
		t.Errorf("the first line is %q", got)
	}
}

func TestLink(t *testing.T) {
	for s, good := range map[string]bool{
		"https://github.com/acme/pay/commit/a1": true, "http://ci.local:8080/1?x=2": true,
		"": false, "javascript:alert(1)": false, "//github.com/x": false, "https://": false, "https://user:secret@github.com": false,
		"https://github.com/\u202ex": false, "https://a b": false, "ftp://x": false, "https://x/" + strings.Repeat("y", maxURL): false,
	} {
		if got := link(s); (got != "") != good {
			t.Errorf("link(%q) = %q", s, got)
		}
	}
}

// FuzzLine: whatever a change says, its line is one line of printable text, bounded.
func FuzzLine(f *testing.F) {
	f.Add("commit", "a1b2c3d", "Fix checkout\u202e", "ana\n", "db/orders.sql", int64(3))
	f.Add("flag", "", "\x1b[2J\xff", "", "", int64(-3))
	f.Fuzz(func(t *testing.T, kind, ref, title, author, file string, seconds int64) {
		c := Change{Kind: kind, At: noon, Ref: ref, Title: title, Author: author, Touches: Touches([]string{file})}
		line := c.Line(noon.Add(time.Duration(seconds)))
		if !utf8.ValidString(line) || line != plain.Line(line, 1000) {
			t.Errorf("%q is not clean", line)
		}
		if tidied, err := tidy(Change{ID: "event:1", Tenant: "a", Source: "ci", Kind: "flag", Title: title, Files: []string{file}}); err != nil {
			t.Error(err)
		} else if again, _ := tidy(tidied); again.Title != tidied.Title || len(again.Files) != len(tidied.Files) {
			t.Errorf("%+v changed when it was cleaned again: %+v", tidied, again)
		}
	})
}
