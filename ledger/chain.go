package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Kinds of the ledger's own entries.
const (
	ownPrefix   = "ledger."
	kindCreated = "ledger.created"
	kindRotated = "ledger.rotated"

	rotationHeader = "countersign-ledger/key-rotation/v1"
)

// created is entry 0 of a log.
type created struct {
	Version int    `json:"v"`
	Kind    string `json:"kind"`
	Time    string `json:"time"`
	Format  string `json:"format"`
	Origin  string `json:"origin"`
	VKey    string `json:"vkey"`
}

// rotated is the entry by which a log gets another key.
type rotated struct {
	Version   int    `json:"v"`
	Kind      string `json:"kind"`
	Time      string `json:"time"`
	Statement string `json:"statement"`
}

// createdLeaf makes entry 0.
func createdLeaf(now time.Time, k *key) ([]byte, error) {
	return json.Marshal(created{Version: 1, Kind: kindCreated, Time: now.UTC().Format(time.RFC3339),
		Format: Format, Origin: k.Name(), VKey: k.vkey})
}

// rotatedLeaf makes the entry at index that replaces a key, signed by both.
func rotatedLeaf(now time.Time, index uint64, old, next *key) ([]byte, error) {
	text := rotationText(old.Name(), index, old.vkey, next.vkey)
	statement, err := note.Sign(&note.Note{Text: text}, old, next)
	if err != nil {
		return nil, fmt.Errorf("signing the key's rotation: %w", err)
	}
	return json.Marshal(rotated{Version: 1, Kind: kindRotated, Time: now.UTC().Format(time.RFC3339), Statement: string(statement)})
}

func rotationText(origin string, index uint64, old, next string) string {
	return fmt.Sprintf("%s\n%s\n%d\n%s\n%s\n", rotationHeader, origin, index, old, next)
}

// chain is the keys that a log has had, by the entries that say so.
type chain []link

// link says that from the checkpoint of this entry on a key signs.
type link struct {
	entry uint64
	vkey  string
	note.Verifier
}

// last is the key that signs the checkpoints to come.
func (c chain) last() link { return c[len(c)-1] }

// at is the key that signs the checkpoint of a size.
func (c chain) at(size uint64) link {
	for i := len(c) - 1; i > 0; i-- {
		if size > c[i].entry {
			return c[i]
		}
	}
	return c[0]
}

// check verifies the signature of a checkpoint of this log.
func (c chain) check(p *Checkpoint) error {
	key := c.at(p.Size)
	if p.Origin != key.Name() {
		return fmt.Errorf("it is a checkpoint of %s, not of %s", p.Origin, key.Name())
	}
	if _, err := note.Open(p.Note, note.VerifierList(key)); err != nil {
		return fmt.Errorf("its signature by the log's key %s does not hold: %w", keyID(key.vkey), err)
	}
	return nil
}

// extend takes in one of the ledger's own entries.
func (c chain) extend(index uint64, leaf []byte) (chain, error) {
	var entry struct{ Kind string }
	if err := json.Unmarshal(leaf, &entry); err != nil {
		return nil, fmt.Errorf("it is not JSON: %w", err)
	}
	switch {
	case index == 0 && entry.Kind == kindCreated:
		return c.create(leaf)
	case index > 0 && entry.Kind == kindRotated:
		return c.rotate(index, leaf)
	}
	return nil, fmt.Errorf("an entry of the kind %q cannot be here", entry.Kind)
}

func (c chain) create(leaf []byte) (chain, error) {
	var entry created
	if err := json.Unmarshal(leaf, &entry); err != nil {
		return nil, fmt.Errorf("it is not a %s entry: %w", kindCreated, err)
	}
	if entry.Format != Format {
		return nil, fmt.Errorf("%w: %.60q, and it knows %q only", ErrFormat, entry.Format, Format)
	}
	return c.add(0, entry.Origin, entry.VKey)
}

func (c chain) rotate(index uint64, leaf []byte) (chain, error) {
	var entry rotated
	if err := json.Unmarshal(leaf, &entry); err != nil {
		return nil, fmt.Errorf("it is not a %s entry: %w", kindRotated, err)
	}
	old := c.last()
	text, _, _ := strings.Cut(entry.Statement, "\n\n")
	lines := strings.Split(text, "\n")
	if len(lines) != 5 || lines[0] != rotationHeader || lines[1] != old.Name() ||
		lines[2] != strconv.FormatUint(index, 10) || lines[3] != old.vkey || lines[4] == old.vkey {
		return nil, errors.New("its statement does not replace the key that the log has here")
	}
	grown, err := c.add(index, lines[1], lines[4])
	if err != nil {
		return nil, err
	}
	for _, signer := range []link{old, grown.last()} {
		if _, err := note.Open([]byte(entry.Statement), note.VerifierList(signer)); err != nil {
			return nil, fmt.Errorf("the key %s has not signed its statement: %w", keyID(signer.vkey), err)
		}
	}
	return grown, nil
}

// add appends a key, which must be that of the log's origin.
func (c chain) add(index uint64, origin, vkey string) (chain, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("its verifier key %q: %w", vkey, err)
	}
	if verifier.Name() != origin {
		return nil, fmt.Errorf("its verifier key is of %s, not of the log %s", verifier.Name(), origin)
	}
	return append(c[:len(c):len(c)], link{entry: index, vkey: vkey, Verifier: verifier}), nil
}
