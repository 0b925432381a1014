package diagnosis

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

// mask is what a secret is replaced by, with what it was.
func masked(what string) string { return "‹" + what + "›" }

// patterns are compiled when the first text is masked: without a provider none is.
var patterns = sync.OnceValue(func() []pattern {
	compile := func(what, expr string, group int) pattern { return pattern{what, regexp.MustCompile(expr), group} }
	return []pattern{
		compile("private key", `(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)`, 0),
		compile("password", `(?i)\b[a-z][a-z0-9+.-]*: ?//[^\s/:@]*:([^\s/@]+)@`, 1),
		compile("token", `\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?`, 0),
		compile("token", `\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}|\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\b(?:sk|pk|rk)[-_](?:live|test|ant|proj)?[-_]?[A-Za-z0-9_-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,}|\bwhsec_[A-Za-z0-9+/=]{16,}|\bnpm_[A-Za-z0-9]{30,}`, 0),
		compile("secret", `(?i)\b(?:proxy-)?authorization["']?\s*[=:]\s*("[^"]*"?|'[^']*'?|[^"'&;,]+)`, 1),
		compile("secret", `(?i)\b(?:set-)?cookie["']?\s*:\s*(.+)`, 1),
		compile("secret", `(?i)\b(?:bearer|basic|digest)[ :]+([A-Za-z0-9._~+/=-]{8,})`, 1),
		compile("secret", `(?i)(?:pass(?:word|wd|phrase)?|pwd|secret|token|jwt|api[_ -]?key|access[_ -]?key|private[_ -]?key|\bkey|credential|auth|session(?:id)?|cookie|sid|signature|sig)\\*["']?\s*(?:[=:]|%3[AaDd])\s*\\*("[^"]*"?|'[^']*'?|[^\s"'&;,]+)`, 1),
		compile("secret", `(?i)--?(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|auth)[= ]+("[^"]*"?|'[^']*'?|[^\s"'&;,]+)`, 1),
		compile("ip", `\b(?:ip|host|node|ec2)[-_]([0-9]{1,3}(?:[-_][0-9]{1,3}){3})\b`, 1),
		compile("ip", `(?:^|[^0-9.])((?:[0-9]{1,3}\.){3}[0-9]{1,3})(?:[^0-9.]|\.?$|\.[^0-9])`, 1),
		compile("email", `(?i)[a-z0-9][a-z0-9._%+'-]*(?:@|＠|%40)[a-z0-9-]+(?:\.[a-z0-9-]+)*`, 0),
	}
})

type pattern struct {
	what  string
	expr  *regexp.Regexp
	group int // what of a match is masked
}

// Mask replaces what should not leave: private keys, passwords in addresses,
// tokens and keys of known forms and after telling names, long random strings,
// e-mail addresses, card numbers and IP addresses. It errs on the side of masking.
// Times, versions and the short numbers of figures stay.
func Mask(s string) string {
	for _, p := range patterns() {
		s = p.replace(s)
	}
	s = maskCards(s)
	return maskWords(s)
}

func (p *pattern) replace(s string) string {
	matches := p.expr.FindAllStringSubmatchIndex(s, -1)
	if matches == nil {
		return s
	}
	var b strings.Builder
	end := 0
	for _, m := range matches {
		from, to := m[2*p.group], m[2*p.group+1]
		if from < end || strings.HasPrefix(s[from:], "‹") {
			continue
		}
		b.WriteString(s[end:from])
		b.WriteString(masked(p.what))
		end = to
	}
	b.WriteString(s[end:])
	return b.String()
}

// maskCards masks runs of 13 to 19 digits, in groups or not, whose check digit is
// right (ISO/IEC 7812-1), and those of 16 whatever theirs, also where other numbers
// stand beside them.
func maskCards(s string) string {
	var b strings.Builder
	end := 0
	for from := 0; from < len(s); from++ {
		if !digit(s[from]) || from > 0 && digit(s[from-1]) {
			continue
		}
		if to := cardAt(s[from:]); to > 0 {
			b.WriteString(s[end:from])
			b.WriteString(masked("card"))
			end = from + to
			from = end - 1
		}
	}
	b.WriteString(s[end:])
	return b.String()
}

// cardAt is the length of the longest card number that s begins with, which ends
// where a group of digits does; 0 when it does not begin with one.
func cardAt(s string) (length int) {
	var digits []byte
	for i := range len(s) {
		last := i+1 == len(s)
		switch {
		case digit(s[i]):
			digits = append(digits, s[i])
		case last || strings.IndexByte(" -._+", s[i]) < 0 || !digit(s[i+1]):
			return length
		}
		n := len(digits)
		if n > 19 {
			return length
		}
		if digit(s[i]) && (last || !digit(s[i+1])) && n >= 13 && (luhn(digits) || n == 16) {
			length = i + 1
		}
	}
	return length
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// maskWords masks IP addresses and long random strings.
func maskWords(s string) string {
	var b strings.Builder
	start := 0
	flush := func(end int) {
		if start < end {
			b.WriteString(maskWord(s[start:end]))
		}
	}
	for i, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune(".:-_+/=%", r) {
			continue
		}
		flush(i)
		b.WriteRune(r)
		start = i + len(string(r))
	}
	flush(len(s))
	return b.String()
}

func maskWord(w string) string {
	if base64Key(w) {
		return masked("secret")
	}
	w = maskAddresses(w)
	// A path is looked at segment by segment.
	if i := strings.IndexAny(w, "/=:"); i >= 0 && len(w) > 1 {
		return maskLeaf(w[:i]) + w[i:i+1] + maskWord(w[i+1:])
	}
	return maskLeaf(w)
}

// base64Key says whether a word looks like a key in base64 that has signs in it. What
// begins with a stroke is a path.
func base64Key(w string) bool {
	if len(w) < 32 || w[0] == '/' || !strings.ContainsAny(w, "/+") {
		return false
	}
	plain := strings.NewReplacer("/", "", "+", "", "=", "").Replace(w)
	return !strings.ContainsAny(plain, ".:-_%") && random(plain)
}

func maskLeaf(w string) string {
	if random(w) {
		return masked("secret")
	}
	return w
}

// maskAddresses masks the IP addresses of a word, whatever they are joined to.
func maskAddresses(w string) string {
	var b strings.Builder
	for len(w) > 0 {
		i := strings.IndexAny(w, "/=-_+")
		if i < 0 {
			i = len(w)
		}
		if address, ok := addressIn(strings.Trim(w[:i], ".:,%")); ok {
			b.WriteString(strings.Replace(w[:i], address, masked("ip"), 1))
		} else {
			b.WriteString(w[:i])
		}
		if i < len(w) {
			b.WriteByte(w[i])
			i++
		}
		w = w[i:]
	}
	return b.String()
}

// addressIn is the IP address that a word is, with or without port or zone, as it is
// or with its colons as a path has them.
func addressIn(w string) (string, bool) {
	plain := strings.NewReplacer("%3A", ":", "%3a", ":").Replace(w)
	if a, err := netip.ParseAddr(plain); err == nil && (a.Is4() || strings.Count(plain, ":") >= 2) {
		return w, true
	}
	if p, err := netip.ParseAddrPort(plain); err == nil && plain == w {
		return w[:strings.LastIndexByte(w, ':')], p.IsValid()
	} else if err == nil {
		return w, true
	}
	return "", false
}

// random says whether a word looks like a key: long and of letters and digits
// mixed as no word is, or a long hexadecimal number.
func random(w string) bool {
	if len(w) < 20 {
		return false
	}
	letters, digits, upper, lower, hex, turns := 0, 0, 0, 0, 0, 0
	var last byte
	for i := range len(w) {
		c := w[i]
		class := byte('-')
		switch {
		case digit(c):
			digits++
			class = '0'
		case c >= 'a' && c <= 'z':
			letters, lower = letters+1, lower+1
			class = 'a'
		case c >= 'A' && c <= 'Z':
			letters, upper = letters+1, upper+1
			class = 'A'
		}
		if digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' {
			hex++
		}
		if class != last && i > 0 {
			turns++
		}
		last = class
	}
	switch {
	case hex == len(w) && digits > 0:
		return true
	case digits >= 3 && letters >= 6 && turns*4 >= len(w):
		return true
	}
	return upper >= 4 && lower >= 4 && turns*3 >= len(w)
}
