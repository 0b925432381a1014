package ledger

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

func TestCheckpointRoundTrip(t *testing.T) {
	k, err := generateKey(logOrigin)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []uint64{0, 1, 1 << 40} {
		root := tlog.RecordHash(fmt.Append(nil, size))
		c, err := signCheckpoint(logOrigin, size, root, k)
		if err != nil {
			t.Fatal(err)
		}
		checkNote(t, c, k.vkey)
		parsed, err := parseCheckpoint(c.Note)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Origin != c.Origin || parsed.Size != size || parsed.Root != root || !bytes.Equal(parsed.Note, c.Note) {
			t.Errorf("parsed %+v, want %+v", parsed, c)
		}
	}
}

func TestCheckpointsThatAreNone(t *testing.T) {
	root := strings.Repeat("A", 43) + "="
	const signature = "\n— example.com/x AAAAAAAA\n"
	good := "example.com/x\n7\n" + root + "\n" + signature
	if c, err := parseCheckpoint([]byte(good)); err != nil || c.Size != 7 {
		t.Fatalf("%v, %v", c, err)
	}
	for _, text := range []string{
		"",
		"example.com/x\n7\n" + root + "\n",
		"example.com/x\n7\n" + signature,
		"example.com/x\n7\n" + root + "\nan extension\n" + signature,
		"\n7\n" + root + "\n" + signature,
		"example com\n7\n" + root + "\n" + signature,
		"example+com\n7\n" + root + "\n" + signature,
		strings.Repeat("x", 256) + "\n7\n" + root + "\n" + signature,
		"example.com/x\n07\n" + root + "\n" + signature,
		"example.com/x\n-7\n" + root + "\n" + signature,
		"example.com/x\n+7\n" + root + "\n" + signature,
		"example.com/x\n0x7\n" + root + "\n" + signature,
		"example.com/x\n9223372036854775808\n" + root + "\n" + signature,
		"example.com/x\n7\n" + root[1:] + "\n" + signature,
		"example.com/x\n7\n" + strings.Repeat("A", 42) + "B=" + "\n" + signature,
		"example.com/x\n7\n" + root + "\n" + strings.Repeat(signature[1:], 4000),
	} {
		if c, err := parseCheckpoint([]byte(text)); err == nil {
			t.Errorf("%.80q is taken as %+v", text, c)
		}
	}
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("example.com/x\n7\n" + strings.Repeat("A", 43) + "=\n\n— example.com/x AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, err := parseCheckpoint(signed)
		if err != nil {
			return
		}
		text := fmt.Sprintf("%s\n%d\n%v\n\n", c.Origin, c.Size, tlog.Hash(c.Root))
		if !bytes.HasPrefix(signed, []byte(text)) {
			t.Errorf("%q is taken as %q", signed, text)
		}
	})
}
