package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// testKey is the key that follows from a name.
func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// vkey is the verifier key of the witness called name.
func vkey(name string) string {
	return VerifierKey(name, testKey(name).Public().(ed25519.PublicKey))
}

func logVKey(t testing.TB, name string) string {
	t.Helper()
	v, err := note.NewEd25519VerifierKey(name, testKey(name).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func testTime() time.Time { return time.Unix(1679315147, 0) }

// cosign has the witnesses called names cosign a checkpoint.
func cosign(t testing.TB, text string, names ...string) []byte {
	t.Helper()
	signers := []note.Signer{NewCosigner("nobody.example", testKey("nobody.example"), testTime)}
	for _, name := range names {
		signers = append(signers, NewCosigner(name, testKey(name), testTime))
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

const testCheckpoint = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

// example is the policy that the specification shows.
func example(t testing.TB) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, "# An example\n\nlog %s \t https://log.example/\n", logVKey(t, "log.example"))
	for _, name := range []string{"X1", "X2", "X3", "Y1", "Y2", "Y3"} {
		_, _ = fmt.Fprintf(&b, " witness %s %s\n", name, vkey(name+".example"))
	}
	b.WriteString("\t# groups\ngroup X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n")
	b.WriteString("group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n")
	return b.String()
}

func TestPolicyOfTheSpecification(t *testing.T) {
	p, err := ParsePolicy([]byte(example(t)))
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Logs) != 1 || p.Logs[0] != (Log{logVKey(t, "log.example")}) {
		t.Errorf("logs %v", p.Logs)
	}
	if len(p.Witnesses) != 6 || p.Witnesses[3] != (Witness{"Y1", vkey("Y1.example"), ""}) {
		t.Errorf("witnesses %v", p.Witnesses)
	}
	for _, c := range []struct {
		names string
		ok    bool
	}{
		{"", false},
		{"X1 X2", false},
		{"X1 X2 X3", false},
		{"X1 Y1", false},
		{"Y1 Y2 Y3", false},
		{"X1 X2 Y1", true},
		{"X2 X3 Y3", true},
		{"X1 X2 X3 Y1 Y2 Y3", true},
	} {
		var signers []string
		for _, name := range strings.Fields(c.names) {
			signers = append(signers, name+".example")
		}
		names, ok := p.Satisfied(cosign(t, testCheckpoint, signers...))
		if ok != c.ok || !slices.Equal(names, strings.Fields(c.names)) {
			t.Errorf("cosigned by %q: %v %v", c.names, names, ok)
		}
	}
}

func TestQuorums(t *testing.T) {
	three := fmt.Sprintf("witness A %s\nwitness B %s\nwitness C %s\n", vkey("a"), vkey("b"), vkey("c"))
	for _, c := range []struct {
		lines, cosigners string
		ok               bool
	}{
		{"quorum none\n", "", true},
		{"quorum A\n", "a", true},
		{"quorum A\n", "b c", false},
		{"group G any A B C\nquorum G\n", "c", true},
		{"group G all A B C\nquorum G\n", "a b", false},
		{"group G all A B C\nquorum G\n", "a b c", true},
		{"group G 2 A B C\nquorum G\n", "a", false},
		{"group G 2 A B C\nquorum G\n", "a c", true},
		{"group G any A B\ngroup H all G C\nquorum H\n", "a b", false},
		{"group G any A B\ngroup H all G C\nquorum H\n", "b c", true},
		{"group G all A\nquorum B\n", "a", false},
		{"quorum A\ngroup G all A B\n", "a", true}, // a group that decides nothing
	} {
		p, err := ParsePolicy([]byte(three + c.lines))
		if err != nil {
			t.Errorf("%q: %v", c.lines, err)
			continue
		}
		if names, ok := p.Satisfied(cosign(t, testCheckpoint, strings.Fields(c.cosigners)...)); ok != c.ok || len(names) != len(strings.Fields(c.cosigners)) {
			t.Errorf("%q cosigned by %q: %v %v", c.lines, c.cosigners, names, ok)
		}
	}
}

func TestCosignaturesThatDoNotCount(t *testing.T) {
	p, err := ParsePolicy(fmt.Appendf(nil, "witness A %s\nwitness B %s\ngroup G any A B\nquorum G\n", vkey("a"), vkey("b")))
	if err != nil {
		t.Fatal(err)
	}
	good := cosign(t, testCheckpoint, "a")
	lines := strings.SplitAfter(string(good), "\n")
	line := lines[len(lines)-2]
	other := cosign(t, strings.Replace(testCheckpoint, "20852163", "20852164", 1), "a")
	otherLines := strings.SplitAfter(string(other), "\n")
	otherLine := otherLines[len(otherLines)-2]
	plain, err := note.NewSigner("PRIVATE+KEY+a+" + plainKey("a"))
	if err != nil {
		t.Fatal(err)
	}
	byPlain, err := note.Sign(&note.Note{Text: testCheckpoint}, plain)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		note           string
		valid, invalid string
	}{
		"sound":                          {string(good), "A", ""},
		"twice":                          {string(good) + line, "A", ""},
		"of another checkpoint":          {strings.Replace(string(good), line, otherLine, 1), "", "A"},
		"of another and a sound one":     {string(good) + otherLine, "A", ""},
		"under another's name":           {strings.Replace(string(good), "— a ", "— b ", 1), "", ""},
		"the same key, but no witness's": {string(byPlain), "", ""},
		"text changed":                   {strings.Replace(string(good), "20852163", "20852162", 1), "", "A"},
	} {
		valid, invalid, err := p.Cosignatures([]byte(c.note))
		if err != nil || strings.Join(valid, " ") != c.valid || strings.Join(invalid, " ") != c.invalid {
			t.Errorf("%s: valid %v, invalid %v, %v", name, valid, invalid, err)
		}
	}
	if _, _, err := p.Cosignatures([]byte(testCheckpoint)); err == nil {
		t.Error("a checkpoint without signatures is taken for a note")
	}
	if names, ok := p.Satisfied([]byte("nonsense")); ok || names != nil {
		t.Errorf("nonsense satisfies: %v", names)
	}
}

func TestPolicyErrors(t *testing.T) {
	a, b := "witness A "+vkey("a")+"\n", "witness B "+vkey("b")+"\n"
	log := "log " + logVKey(t, "log.example") + "\n"
	many := func(n int, line func(i int) string) string {
		var s strings.Builder
		for i := range n {
			s.WriteString(line(i))
		}
		return s.String()
	}
	for _, c := range []struct{ text, want string }{
		{"", "witness policy: there is no quorum line"},
		{a, "there is no quorum line"},
		{"quorum none", "line 1: the last line does not end in a newline"},
		{"quorum none\nquorum none\n", "line 2: there is a second quorum line"},
		{"quorum\n", "line 1: the quorum is written"},
		{"quorum A\n" + a, `line 1: no witness or group "A" is defined above`},
		{"quorum none\r\n", "line 1: it ends in a carriage return"},
		{"#\x00\nquorum none\n", "line 1: the control character 0x00"},
		{"#\x7f\nquorum none\n", "line 1: the control character 0x7f"},
		{"witnes A\n", `line 1: "witnes" is none of log, witness, group, quorum`},
		{"witness A\n", "line 1: a witness is written"},
		{"witness A " + vkey("a") + " u v\n", "line 1: a witness is written"},
		{a + strings.Replace(b, "B", "A", 1), `line 2: "A" is defined twice`},
		{a + strings.Replace(a, "A", "B", 1), "line 2: the witness B has the same public key as the witness A"},
		{"witness none " + vkey("a") + "\n", `line 1: "none" cannot be defined`},
		{"witness A " + logVKey(t, "a") + "\n", "line 1: the key of a has signature type 0x01"},
		{"log " + vkey("a") + "\n", "line 1: the key of the log a has signature type 0x04"},
		{"log\n", "line 1: a log is written"},
		{log + log, "line 2: the log log.example has the same public key as the log log.example"},
		{"log " + logVKey(t, "a") + "\n" + a, "line 2: the witness A has the same public key as the log a"},
		{a + "group G any\n", "line 2: a group is written"},
		{a + "group G any B\n", `line 2: no witness or group "B"`},
		{a + "group G any none\n", `line 2: "none" cannot be a member`},
		{a + "group G any G\n", `line 2: no witness or group "G"`},
		{a + "group A any A\n", `line 2: "A" is defined twice`},
		{a + "group G any A A\n", `line 2: "A" is already a member of the group "G"`},
		{a + "group G any A\ngroup H any A\n", `line 3: "A" is already a member of the group "G"`},
		{a + "group G 0 A\n", "line 2: the threshold \"0\" of the group \"G\" must be all, any, or a number from 1 to 1"},
		{a + "group G 2 A\n", "line 2: the threshold"},
		{a + "group G 01 A\n", "line 2: the threshold"},
		{a + "group G +1 A\n", "line 2: the threshold"},
		{a + "group G most A\n", "line 2: the threshold"},
		{"witness A a+b\n", "is not a verifier key"},
		{strings.Repeat("#", maxPolicySize) + "\n", "longer than"},
		{many(maxWitnesses+1, func(i int) string { n := fmt.Sprint("w", i); return "witness " + n + " " + vkey(n) + "\n" }), "line 65: there are more than 64 witnesses"},
		{many(maxLogs+1, func(i int) string { return "log " + logVKey(t, fmt.Sprint("l", i)) + "\n" }), "line 1001: there are more than 1000 logs"},
		{a + "group G0 any A\n" + many(maxGroups, func(i int) string { return fmt.Sprintf("group G%d any G%d\n", i+1, i) }), "line 1002: there are more than 1000 groups"},
	} {
		p, err := ParsePolicy([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || p != nil {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(example(f)))
	f.Add([]byte("quorum none\n"))
	f.Add(fmt.Appendf(nil, "witness A %s\ngroup G 1 A\nquorum G\n", vkey("a")))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ParsePolicy(text)
		if err != nil {
			return
		}
		var all []string
		for _, w := range p.Witnesses {
			all = append(all, w.Name)
		}
		if !p.Quorate(all) {
			t.Errorf("all witnesses together are no quorum of %q", text)
		}
		if p.Quorate(nil) != (p.Quorum == NoQuorum) {
			t.Errorf("no witness is the quorum of %q", text)
		}
		again, err := ParsePolicy(append([]byte(" \t\n# comment\n"), text...))
		if err != nil || !slices.Equal(again.Witnesses, p.Witnesses) || !slices.Equal(again.Logs, p.Logs) {
			t.Errorf("%q reads differently after a comment: %v", text, err)
		}
	})
}
