package notify_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

func TestLine(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"checkout", "checkout"},
		{"  a \t\r\n b\u2028c\u0085d ", "a b c d"},
		{"a\x00b\x1b[31mc\x7fd", "a b [31mc d"},
		{"\u202egnp.exe\u2066 a\u200bb\ufeffc\u00add", "gnp[.]exe abcd"},
		{"\xff\xfea\xc3(", "a("},
		{"e\u0301\u0301\u0301\u0301\u0301", "e\u0301\u0301\u0301"},
		{"https://evil.example/a.b?c=d.e", "https[:]//evil[.]example/a[.]b?c=d[.]e"},
		{"tg://resolve?domain=x javascript:alert(1) mailto:a@b.example", "tg[:]//resolve?domain=x javascript:alert(1) mailto:a(at)b[.]example"},
		{`file:\\host`, `file[:]\\host`},
		{"www.evil.example evil.example. (evil.example)", "www[.]evil[.]example evil[.]example. (evil[.]example)"},
		{"evil。example evil．example evil｡example", "evil[.]example evil[.]example evil[.]example"},
		{"xn--e1afmkfd.xn--p1ai пример.рф 💩.la", "xn--e1afmkfd[.]xn--p1ai пример[.]рф 💩[.]la"},
		{"10.1.2.3 10.1.2.3:80/x", "10[.]1[.]2[.]3 10[.]1[.]2[.]3:80/x"},
		{"P95 1.5 s, v1.2.3, 99.9 %. Next.", "P95 1.5 s, v1.2.3, 99.9 %. Next."},
		{"orders/query.go ./a ../b .env", "orders/query[.]go ./a ../b .env"},
		{"@everyone a@b 5 @ 6 @", "(at)everyone a(at)b 5 @ 6 @"},
		{"GET /api/{id}: 03:00 a:b", "GET /api/{id}: 03:00 a:b"},
	} {
		if got := notify.Line(tt.in, 200); got != tt.want {
			t.Errorf("%q becomes %q instead of %q", tt.in, got, tt.want)
		}
	}
}

func TestLineIsCut(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcdef", 6, "abcdef"}, {"abcdefg", 6, "abcde…"}, {"abcd efg", 6, "abcd…"}, {"ääääää", 6, "ääääää"}, {"äääääää", 6, "äääää…"},
		{"a.b.c.d", 6, "a[.]b…"}, {"abc", 1, "…"}, {"abc", 0, "…"}, {"", 0, ""},
	} {
		if got := notify.Line(tt.in, tt.limit); got != tt.want {
			t.Errorf("%q cut at %d is %q instead of %q", tt.in, tt.limit, got, tt.want)
		}
	}
}

func FuzzLine(f *testing.F) {
	f.Add(notifytest.Attack, 80)
	f.Add("a.b@c://d.e", 5)
	f.Add("https[://a", 80)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = 1 + int(uint(limit)%200)
		got := notify.Line(s, limit)
		if utf8.RuneCountInString(got) > limit || !utf8.ValidString(got) || got != strings.TrimSpace(got) || strings.Contains(got, "  ") {
			t.Errorf("%q cut at %d is %q", s, limit, got)
		}
		if again := notify.Line(got, limit); again != got {
			t.Errorf("%q, then %q", got, again)
		}
		runes := []rune(got)
		for i, r := range runes {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Errorf("%q has %U", got, r)
			}
			if r == '.' && i > 0 && i+1 < len(runes) && unicode.IsLetter(runes[i+1]) && (unicode.IsLetter(runes[i-1]) || unicode.IsNumber(runes[i-1])) {
				t.Errorf("%q has a host's name", got)
			}
		}
		if strings.Contains(got, "://") && !strings.HasPrefix(got, "://") && !strings.Contains(got, " ://") {
			t.Errorf("%q has an address", got)
		}
	})
}
