package diagnosis

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestInert(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, 12.5 ms (50 %).":        "plain text, 12.5 ms (50 %).",
		"see https://evil.example/x":         "see https: //evil. example/x",
		"[tap](http://evil.example)":         "(tap)(http: //evil. example)",
		"<a href=x>tap</a>":                  "‹a href=x›tap‹/a›",
		"*bold* `code` ~x~ |y|":              "'bold' 'code' 'x' 'y'",
		"line\nbreak\r\n\tand tab":           "line break and tab",
		"\x1b[31mred\x1b[0m":                 "(31mred (0m",
		"mail ann@shop.example":              "mail ann＠shop. example",
		"@everyone":                          "＠everyone",
		"turn\u202eback\u200b":               "turnback",
		"mailto:x and javascript:alert(1)":   "mailto: x and javascript: alert(1)",
		"GET /products/{id}":                 "GET /products/{id}",
		"e\u0301\u0301\u0301\u0301 accents":  "e\u0301\u0301\u0301 accents",
		"i❤.ws, x_.com, cafe\u0301.com":      "i❤. ws, x_. com, cafe\u0301. com",
		"GET /.well-known/x":                 "GET /.well-known/x",
		"bad \xff utf8":                      "bad utf8",
		"":                                   "",
		"   ":                                "",
		"ratio 3:1 at 12:30, 5 is 1.5 times": "ratio 3:1 at 12:30, 5 is 1.5 times",
	} {
		if got := Inert(in, 200); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

func FuzzInert(f *testing.F) {
	f.Add("http://a.b/<x>@c\n`y`", 20)
	f.Add("a..b。c:d//e", 5)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = limit&0xff + 4
		got := Inert(s, limit)
		if len(got) > limit || !utf8.ValidString(got) || strings.ContainsAny(got, "<>`[]\\*|~@\n\r") || strings.Contains(got, "://") {
			t.Errorf("%q with %d became %q", s, limit, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%q became %q with %U", s, got, r)
			}
		}
		if again := Inert(got, limit); again != got {
			t.Errorf("%q became %q, and then %q", s, got, again)
		}
	})
}
