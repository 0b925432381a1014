package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint is more than a checkpoint with a hundred cosignatures has.
const maxCheckpoint = 64 << 10

// checkOrigin says what is wrong with the name of a log.
func checkOrigin(origin string) error {
	switch {
	case origin == "":
		return errors.New("a new ledger needs an origin, the name that its checkpoints carry: set Origin, for example to example.com/my-service")
	case len(origin) > 255:
		return fmt.Errorf("the origin has %d bytes: at most 255 are allowed", len(origin))
	case !utf8.ValidString(origin):
		return errors.New("the origin is not valid UTF-8")
	case strings.ContainsFunc(origin, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("the origin %q has a space, a '+' or a control character: leave it out", origin)
	}
	return nil
}

// signCheckpoint makes the checkpoint of a tree, a C2SP tlog-checkpoint.
func signCheckpoint(origin string, size uint64, root tlog.Hash, signer note.Signer) (*Checkpoint, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		return nil, fmt.Errorf("signing the checkpoint of %d entries: %w", size, err)
	}
	return &Checkpoint{Origin: origin, Size: size, Root: root, Note: signed}, nil
}

// parseCheckpoint reads a signed checkpoint without judging its signatures.
func parseCheckpoint(signed []byte) (*Checkpoint, error) {
	if len(signed) > maxCheckpoint {
		return nil, fmt.Errorf("a checkpoint of %d bytes: at most %d are allowed", len(signed), maxCheckpoint)
	}
	_, err := note.Open(signed, nil)
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return nil, fmt.Errorf("the checkpoint is not a signed note: %w", err)
	}
	lines := strings.Split(unverified.Note.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return nil, fmt.Errorf("the checkpoint has %d lines: it must have three, origin, size and root", len(lines)-1)
	}
	if err := checkOrigin(lines[0]); err != nil {
		return nil, fmt.Errorf("the checkpoint's first line: %w", err)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return nil, fmt.Errorf("the checkpoint's size %q is not a decimal number", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return nil, fmt.Errorf("the checkpoint's root %q is not the base64 of %d bytes", lines[2], tlog.HashSize)
	}
	return &Checkpoint{Origin: lines[0], Size: uint64(size), Root: [32]byte(root), Note: signed}, nil
}
