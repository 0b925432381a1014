package verify

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	formatslog "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
)

// specCheckpoint is the example of C2SP tlog-checkpoint.
const specCheckpoint = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`

func TestParseCheckpoint(t *testing.T) {
	c, err := ParseCheckpoint([]byte(specCheckpoint))
	if err != nil || c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 ||
		base64.StdEncoding.EncodeToString(c.Root[:]) != "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=" {
		t.Fatalf("%+v, %v", c, err)
	}
	replace := func(old, with string) string { return strings.Replace(specCheckpoint, old, with, 1) }
	line := specCheckpoint[strings.Index(specCheckpoint, "—"):]
	for name, text := range map[string]string{
		"nothing":                      "",
		"no signature":                 replace(line, ""),
		"two lines":                    replace("20852163\n", ""),
		"leading zero":                 replace("20852163", "020852163"),
		"plus":                         replace("20852163", "+20852163"),
		"space":                        replace("20852163", "20852163 "),
		"too large":                    replace("20852163", "18446744073709551616"),
		"no size":                      replace("20852163", ""),
		"short root":                   replace("jxq2I=", "jxq2"),
		"root with trailing bits":      replace("jxq2I=", "jxq2J="),
		"root without padding":         replace("jxq2I=", "jxq2I"),
		"long root":                    replace("CsUY", "CsUYCsUY"),
		"carriage returns":             strings.ReplaceAll(specCheckpoint, "\n", "\r\n"),
		"tab":                          replace("sofa\n", "so\tfa\n"),
		"not UTF-8":                    replace("sofa\n", "so\xfffa\n"),
		"space in the origin":          replace("sofa\n", "so fa\n"),
		"plus in the origin":           replace("sofa\n", "so+fa\n"),
		"control in the origin":        replace("sofa\n", "so\u0085fa\n"),
		"no origin":                    replace("example.com/behind-the-sofa\n", "\n"),
		"long origin":                  replace("sofa\n", strings.Repeat("x", 250)+"\n"),
		"text after the signature":     specCheckpoint + "x",
		"a line after the signature":   specCheckpoint + "x\n",
		"a signature twice":            specCheckpoint + line,
		"another by the same key":      specCheckpoint + strings.Replace(line, "YQ8=", "YQ4=", 1),
		"hyphen for a dash":            replace("— ", "- "),
		"signature of four bytes":      replace(line, "— example.com/a AAAAAA==\n"),
		"signature with trailing bits": replace("YQ8=", "YQ9="),
		"signature not base64":         replace("YQ8=", "Y*8="),
		"signature without a name":     replace("— example.com/behind-the-sofa ", "—  "),
		"no newline at the end":        strings.TrimSuffix(specCheckpoint, "\n"),
		"too many signatures": replace(line, "") + func() string {
			var b strings.Builder
			for i := range 101 {
				b.WriteString("— example.com/a " + base64.StdEncoding.EncodeToString([]byte{0, 0, 0, byte(i), 1}) + "\n")
			}
			return b.String()
		}(),
	} {
		if c, err := ParseCheckpoint([]byte(text)); err == nil {
			t.Errorf("%s: accepted as %+v", name, c)
		}
	}
	for name, text := range map[string]string{
		"extension line":    replace("jxq2I=\n", "jxq2I=\nextension\n"),
		"two extensions":    replace("jxq2I=\n", "jxq2I=\nextension 1\nextension 2\n"),
		"size 0":            replace("20852163", "0"),
		"largest size":      replace("20852163", "18446744073709551615"),
		"unknown signature": specCheckpoint + "— example.com/other AAAAAAE=\n",
		"same key elsewise": specCheckpoint + "— example.com/behind-the-sofa AAAAAAE=\n",
		"origin in UTF-8":   replace("behind-the-sofa\n", "hinter-dem-söfchen\n"),
	} {
		if _, err := ParseCheckpoint([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzCheckpoint makes sure that what is accepted means the same to another
// implementation.
func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte(specCheckpoint))
	f.Add([]byte(strings.Replace(specCheckpoint, "jxq2I=\n", "jxq2I=\nextension\n", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCheckpoint(data)
		if err != nil {
			return
		}
		var theirs formatslog.Checkpoint
		if _, err := theirs.Unmarshal(data); err != nil {
			t.Fatalf("%q is accepted by us and not by others: %v", data, err)
		}
		if theirs.Origin != c.Origin || theirs.Size != c.Size || string(theirs.Hash) != string(c.Root[:]) {
			t.Fatalf("%q is %+v to us and %+v to others", data, c, theirs)
		}
	})
}

// FuzzNote makes sure that what is accepted is a note to the library that checks
// the signatures, with the same text and signatures.
func FuzzNote(f *testing.F) {
	f.Add([]byte(specCheckpoint))
	f.Add([]byte("a\n\nb\n\n— x AAAAAAE=\n— y AAAAAAE=\n"))
	f.Add([]byte("\n\n— x AAAAAAE=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, signatures, err := splitNote(data)
		if err != nil {
			return
		}
		_, openErr := note.Open(data, nil)
		unverified, ok := errors.AsType[*note.UnverifiedNoteError](openErr)
		if !ok {
			t.Fatalf("%q is accepted, and not by the library: %v", data, openErr)
		}
		n := unverified.Note
		if n.Text != text || len(n.UnverifiedSigs) != len(signatures) {
			t.Fatalf("%q: %q with %d signatures to us, %q with %d to the library", data, text, len(signatures), n.Text, len(n.UnverifiedSigs))
		}
		for i, s := range n.UnverifiedSigs {
			if s.Name != signatures[i].name || s.Hash != signatures[i].id {
				t.Fatalf("%q: signature %d by %+v to us, by %s+%08x to the library", data, i, signatures[i], s.Name, s.Hash)
			}
		}
	})
}
