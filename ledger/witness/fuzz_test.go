package witness

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func FuzzWitnessResponse(f *testing.F) {
	key, err := NewVerifier(vkey("w"))
	if err != nil {
		f.Fatal(err)
	}
	signed := cosign(f, testCheckpoint)
	sound := cosign(f, testCheckpoint, "w")
	lines := strings.SplitAfter(string(sound), "\n")
	line := lines[len(lines)-2]
	f.Add(409, sizeType, []byte("17\n"))
	f.Add(200, "", []byte(line))
	f.Add(200, "", []byte(line+line))
	f.Add(200, "", []byte("\n"+line))
	spare := []byte(line)
	spare[len(spare)-len("A==\n")]++ // a bit that stands for nothing
	f.Add(200, "", spare)
	f.Add(422, "", []byte("no"))
	f.Fuzz(func(t *testing.T, status int, contentType string, body []byte) {
		if status != 200 {
			if refusal(status, contentType, body, &checkpoint{signed: signed}).Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		got, err := parseAnswer(signed, body, key)
		if err != nil {
			return
		}
		if got != line {
			t.Errorf("a line that the witness did not sign: %q", got)
		}
		if _, err := note.Open(append(signed[:len(signed):len(signed)], got...), note.VerifierList(key)); err != nil {
			t.Errorf("with the line %q the note does not open: %v", got, err)
		}
	})
}
