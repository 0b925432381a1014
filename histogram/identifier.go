package histogram

import "bytes"

// The classes of the bytes in a path segment.
const (
	hexLetter = 1 << iota
	otherLower
	otherUpper
	decimal
	separator // - _
	dot
	mark    // other printable ASCII
	foreign // what has to be decoded or looked at closely before it is shown

	letter = hexLetter | otherLower | otherUpper
)

var classOf = func() (table [256]uint8) {
	for c := range table {
		switch {
		case c >= '0' && c <= '9':
			table[c] = decimal
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			table[c] = hexLetter
		case c >= 'g' && c <= 'z':
			table[c] = otherLower
		case c >= 'G' && c <= 'Z':
			table[c] = otherUpper
		case c == '-' || c == '_':
			table[c] = separator
		case c == '.':
			table[c] = dot
		case c <= ' ' || c == '%' || c >= 0x7f:
			table[c] = foreign
		default:
			table[c] = mark
		}
	}
	return table
}()

// scan is how many decimal digits there are and which classes.
func scan(s []byte) (digits int, classes uint8) {
	for _, c := range s {
		class := classOf[c]
		classes |= class
		digits += int(class & decimal)
	}
	return digits / decimal, classes
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// hexValue is the value of a hexadecimal digit, 255 for other bytes.
func hexValue(c byte) byte {
	switch {
	case digit(c):
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}

const (
	longToken   = 20 // bytes that make a mixed token an identifier
	behindToken = 12 // the same behind a prefix
	shortestHex = 8
)

// identifier reports whether a segment, or the stem of a file name, looks like
// one thing's identifier and not like a name of a route.
func identifier(s []byte) bool {
	return uuid(s) || number(s) || instant(s) || opaque(s, longToken) || prefixed(s)
}

// opaque reports whether s is a UUID, a ULID, hexadecimal or a mixed token of
// at least shortest bytes.
func opaque(s []byte, shortest int) bool {
	digits, classes := scan(s)
	if classes&decimal == 0 && len(s) < 2*longToken || classes&^(letter|decimal|separator|mark) != 0 {
		return false
	}
	if classes&^(hexLetter|decimal) == 0 && len(s) >= shortestHex {
		return digits > 0
	}
	return uuid(s) || ulid(s) || zeroX(s) || len(s) >= shortest && token(s, digits, classes)
}

// number reports whether s is digits and what stands between them: 42, -7,
// 52.52,13.40, 2026-11-21, 10.0.0.1. Versions of up to three short parts, such as
// 1.1, are not.
func number(s []byte) bool {
	digits, between := 0, 0
	for _, c := range s {
		switch {
		case digit(c):
			digits++
		case c == '.':
			between++
		case c == '-' || c == '+' || c == ',' || c == ':' || c == '_':
			between += 3
		default:
			return false
		}
	}
	version := between > 0 && between <= 2 && digits <= 2*(between+1) && s[0] != '.'
	return digits > 0 && !version
}

// instant reports whether s begins with a date and goes on with its time, or is
// a week or quarter: 2026-11-21T10:30:00Z, 20261121T103000Z, 2026-W47, 2026-Q3.
func instant(s []byte) bool {
	return like(s, "0000-00-00T00*") || like(s, "00000000T00*") ||
		like(s, "0000-W00*") || like(s, "0000-Q0")
}

// like reports whether s has the shape of pattern, in which 0 is any decimal
// digit, x any hexadecimal one, and a final * anything.
func like(s []byte, pattern string) bool {
	for i := range len(pattern) {
		c := pattern[i]
		switch {
		case c == '*' && i == len(pattern)-1:
			return true
		case i >= len(s):
			return false
		case c == '0' && digit(s[i]), c == 'x' && hexValue(s[i]) < 16, c == s[i]:
		default:
			return false
		}
	}
	return len(s) == len(pattern)
}

func uuid(s []byte) bool {
	if len(s) < 36 {
		return false
	}
	s = bytes.TrimPrefix(s, []byte("urn:uuid:"))
	if len(s) == 38 && s[0] == '{' && s[37] == '}' {
		s = s[1:37]
	}
	return like(s, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")
}

// ulid reports whether s is 26 digits of Crockford's base 32 that fit 128 bits.
func ulid(s []byte) bool {
	if len(s) != 26 || s[0] < '0' || s[0] > '7' {
		return false
	}
	for _, c := range s {
		if classOf[c]&(letter|decimal) == 0 || bytes.IndexByte([]byte("ILOUilou"), c) >= 0 {
			return false
		}
	}
	return true
}

func zeroX(s []byte) bool {
	if len(s) < 3 || s[0] != '0' || s[1]|0x20 != 'x' {
		return false
	}
	_, classes := scan(s[2:])
	return classes&^(hexLetter|decimal) == 0
}

// token reports whether s changes between lower case, upper case and digits so
// often that it was not put together from words. A capital at the beginning of a
// camelCase word is one change, and what is on either side of a separator none.
func token(s []byte, digits int, classes uint8) bool {
	if len(s) >= 2*longToken && classes&(separator|mark) == 0 {
		return true
	}
	changes := 0
	for i := 1; i < len(s); i++ {
		before, after := s[i-1], s[i]
		if classOf[before]&(letter|decimal) == 0 || classOf[after]&(letter|decimal) == 0 {
			continue
		}
		lowerFollows := after >= 'a'
		switch {
		case digit(before) != digit(after), !digit(before) && before >= 'a' && !lowerFollows:
			changes++
		}
	}
	return digits >= 3 && changes >= len(s)/5 || digits >= 1 && changes >= len(s)*3/10
}

// prefixed reports whether s is a word, a separator and a number or token:
// user_42, PROJ-123, order:17, cus_NffrFeUfNV2Hib. A version, v-2 or api_1, is not.
func prefixed(s []byte) bool {
	i := bytes.LastIndexAny(s, "-_:")
	if i <= 0 || i == len(s)-1 {
		return false
	}
	prefix, rest := s[:i], s[i+1:]
	if _, classes := scan(prefix); classes&^letter != 0 {
		return classes&^(letter|separator) == 0 && opaque(rest, behindToken)
	}
	digits, _ := scan(rest)
	if digits == len(rest) {
		switch string(bytes.ToLower(prefix)) {
		case "v", "version", "api":
			return false
		}
		return true
	}
	return opaque(rest, behindToken)
}
