package verify

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxOrigin is the length of a log's name at most, in bytes.
const maxOrigin = 255

// A Checkpoint is what a log's signed checkpoint says.
type Checkpoint struct {
	Origin string // the log's name
	Size   uint64 // number of entries
	Root   [32]byte
}

// ParseCheckpoint reads the text of a signed checkpoint (C2SP tlog-checkpoint
// in a signed note) and does not look at its signatures: it proves nothing. It
// takes each number and hash in its one canonical form, and tolerates extension
// lines.
func ParseCheckpoint(note []byte) (Checkpoint, error) {
	text, _, err := splitNote(note)
	if err != nil {
		return Checkpoint{}, err
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if len(lines) < 3 {
		return Checkpoint{}, errors.New("a checkpoint has three lines: origin, size and root")
	}
	for _, extension := range lines[3:] {
		if extension == "" {
			return Checkpoint{}, errors.New("there is an empty line among those of the checkpoint")
		}
	}
	c := Checkpoint{Origin: lines[0]}
	if err := checkOrigin(c.Origin); err != nil {
		return Checkpoint{}, err
	}
	if c.Size, err = parseDecimal(lines[1]); err != nil {
		return Checkpoint{}, fmt.Errorf("the size is malformed: %w", err)
	}
	if c.Root, err = parseHash(lines[2]); err != nil {
		return Checkpoint{}, fmt.Errorf("the root is malformed: %w", err)
	}
	return c, nil
}

// checkOrigin says what is wrong with the name of a log.
func checkOrigin(origin string) error {
	switch {
	case origin == "":
		return errors.New("the origin is empty")
	case len(origin) > maxOrigin:
		return fmt.Errorf("the origin has %d bytes, at most %d are allowed", len(origin), maxOrigin)
	case !utf8.ValidString(origin):
		return errors.New("the origin is not valid UTF-8")
	case strings.ContainsFunc(origin, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) }):
		return fmt.Errorf("the origin %q has a space, a plus sign or a control character in it", origin)
	}
	return nil
}

// parseDecimal reads a number without sign or leading zeros.
func parseDecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("%.40q is not a decimal number in its shortest form", s)
	}
	return n, nil
}

// parseHash reads a SHA-256 in canonical base64.
func parseHash(s string) (hash [hashSize]byte, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(raw) != hashSize || strings.ContainsAny(s, "\r\n") {
		return hash, fmt.Errorf("%.60q is not the base64 form of 32 bytes", s)
	}
	return [hashSize]byte(raw), nil
}

// A signature is a signature line of a note.
type signature struct {
	name string
	id   uint32
}

// splitNote takes a signed note apart (C2SP signed-note) and judges its form,
// more strictly than needed to find its signatures: no byte of it can be changed
// without either the form, the text or a signature being another.
func splitNote(note []byte) (text string, signatures []signature, err error) {
	if !utf8.Valid(note) {
		return "", nil, errors.New("it is not valid UTF-8")
	}
	for _, b := range note {
		if b < ' ' && b != '\n' {
			return "", nil, errors.New("there is a control character in it")
		}
	}
	body, lines, found := cutLast(note, []byte("\n\n"))
	if !found || len(lines) == 0 {
		return "", nil, errors.New("it is not a signed note: there is no empty line with signatures after it")
	}
	if lines[len(lines)-1] != '\n' {
		return "", nil, errors.New("it breaks off in a signature line")
	}
	seen := map[signature]bool{}
	for line := range strings.Lines(string(lines)) {
		s, err := parseSignature(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return "", nil, err
		}
		if seen[s] {
			return "", nil, fmt.Errorf("there are two signatures by the key %s+%08x", s.name, s.id)
		}
		if len(signatures) == maxSignatures {
			return "", nil, fmt.Errorf("it has more than %d signatures", maxSignatures)
		}
		seen[s] = true
		signatures = append(signatures, s)
	}
	return string(body) + "\n", signatures, nil
}

// maxSignatures is how many signature lines a note can have; package note takes
// no more.
const maxSignatures = 100

func parseSignature(line string) (signature, error) {
	rest, ok := strings.CutPrefix(line, "— ")
	name, b64, spaced := strings.Cut(rest, " ")
	if !ok || !spaced || name == "" || strings.ContainsFunc(name, func(r rune) bool { return r == '+' || unicode.IsSpace(r) }) {
		return signature{}, fmt.Errorf("the signature line %.60q is malformed", line)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(b64)
	if err != nil || len(raw) < 5 {
		return signature{}, fmt.Errorf("the signature by %s is not canonical base64 of a key id and a signature", name)
	}
	id := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
	return signature{name: name, id: id}, nil
}

func cutLast(s, sep []byte) (before, after []byte, found bool) {
	if i := bytes.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, nil, false
}
