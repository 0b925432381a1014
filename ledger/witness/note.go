package witness

import (
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// openNote takes a signed note apart without judging its signatures.
func openNote(signed []byte) (text string, signatures []note.Signature, err error) {
	_, err = note.Open(signed, nil)
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return "", nil, fmt.Errorf("the checkpoint is not a signed note: %w", err)
	}
	return unverified.Note.Text, unverified.Note.UnverifiedSigs, nil
}

// signatureBytes is what s holds after the key id, or nothing, which no key
// verifies, when its base64 is not canonical: package note reads that as well, but
// who verifies a checkpoint may refuse all of it for such a line.
func signatureBytes(s note.Signature) []byte {
	raw, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
	if err != nil || len(raw) < 4 {
		return nil
	}
	return raw[4:]
}
