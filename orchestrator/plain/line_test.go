package plain_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/plain"
)

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"  a \t\r\n b\u2028c\u0085d ":      "a b c d",
		"a\x1b[2Jb":                        "a [2Jb",
		"1234567890   ":                    "1234567890",
		"äöüäöüäöüäö":                      "äöüäöüäöü…",
		"12345678 0abc":                    "12345678…",
		"\u202eevil\u202c":                 "evil",
		"z\u200de\ufeffro\u00ad":           "zero",
		"tag\U000e0041\U000e0042":          "tag",
		"a\xff\xfeb\xc3":                   "ab",
		"e\u0301\u0301\u0301\u0301\u0301x": "e\u0301\u0301\u0301x",
		"\u3164\u2800":                     "",
		"日本語":                              "日本語",
	} {
		if got := plain.Line(in, 10); got != want {
			t.Errorf("%q becomes %q instead of %q", in, got, want)
		}
	}
	for limit, want := range map[int]string{0: "…", 1: "…", 2: "a…", 3: "abc"} {
		if got := plain.Line("abc", limit); got != want {
			t.Errorf("within %d it is %q instead of %q", limit, got, want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\u202eb \x1b[31m\xff e\u0301\u0301\u0301\u0301", 9)
	f.Add(strings.Repeat("\u200b", 100)+"x", 1)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + int(uint(limit)%200)
		got := plain.Line(s, limit)
		if utf8.RuneCountInString(got) > limit || !utf8.ValidString(got) || got != strings.TrimSpace(got) || strings.Contains(got, "  ") {
			t.Errorf("%q within %d is %q", s, limit, got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp) {
				t.Errorf("%q has %U", got, r)
			}
		}
		if again := plain.Line(got, limit); again != got {
			t.Errorf("%q, then %q", got, again)
		}
	})
}
