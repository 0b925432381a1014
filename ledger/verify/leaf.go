package verify

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	maxOnce        = 256 // bytes
	reservedPrefix = "ledger."
	createdKind    = "ledger.created"
	rotatedKind    = "ledger.rotated"
)

// A blobRef is what an entry says of a blob that belongs to it.
type blobRef struct {
	sum    [hashSize]byte
	length uint64
}

// A leafParser reads leaves, one at a time. Its fields are what the last one
// says to the ledger; they are valid until the next.
type leafParser struct {
	kind     []byte
	once     []byte // nil when there is none
	evidence []blobRef

	s     scanner
	names [][]byte            // of the members so far
	many  map[string]struct{} // of the members so far, when they are many
}

// manyMembers is from how many on looking through all names is slower than a map.
const manyMembers = 32

// parse reads a leaf: one JSON object in UTF-8 without duplicate members, whose
// members known to the ledger are as they should be. An error says which rule is
// broken.
func (p *leafParser) parse(leaf []byte) error {
	p.kind, p.once, p.evidence = nil, nil, p.evidence[:0]
	p.names = p.names[:0]
	clear(p.many)
	if len(leaf) > MaxLeaf {
		return fmt.Errorf("it has %d bytes, at most %d are allowed", len(leaf), MaxLeaf)
	}
	if !utf8.Valid(leaf) {
		return errors.New("not valid UTF-8")
	}
	p.s.reset(leaf)
	if p.s.peek() != '{' {
		return errors.New("not a JSON object")
	}
	if err := p.s.object(p.member); err != nil {
		return err
	}
	if p.s.peek() != 0 || p.s.pos < len(leaf) {
		return p.s.syntaxError("the end")
	}
	if p.kind == nil {
		return errors.New(`no member "kind"`)
	}
	return nil
}

func (p *leafParser) member(name token) error {
	n := name.bytes()
	if p.repeated(n) {
		return fmt.Errorf("two members %.80q", n)
	}
	switch string(n) {
	case "kind":
		return p.parseKind()
	case "time":
		return p.parseTime()
	case "once":
		return p.parseOnce()
	case "evidence":
		return p.parseEvidence()
	default:
		return p.s.value()
	}
}

// repeated says whether a member of that name was there before.
func (p *leafParser) repeated(name []byte) bool {
	if len(p.names) < manyMembers {
		for _, n := range p.names {
			if bytes.Equal(n, name) {
				return true
			}
		}
		p.names = append(p.names, name)
		return false
	}
	if len(p.many) == 0 {
		if p.many == nil {
			p.many = map[string]struct{}{}
		}
		for _, n := range p.names {
			p.many[string(n)] = struct{}{}
		}
	}
	if _, ok := p.many[string(name)]; ok {
		return true
	}
	p.many[string(name)] = struct{}{}
	return false
}

// stringOf reads the value of a member that must be a string.
func (p *leafParser) stringOf(member string) ([]byte, error) {
	if p.s.peek() != '"' {
		if err := p.s.value(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("member %q is not a string", member)
	}
	t, err := p.s.str()
	return t.bytes(), err
}

func (p *leafParser) parseKind() error {
	kind, err := p.stringOf("kind")
	if err == nil && len(kind) == 0 {
		err = errors.New(`member "kind" is empty`)
	}
	p.kind = kind
	return err
}

func (p *leafParser) parseTime() error {
	text, err := p.stringOf("time")
	if err != nil {
		return err
	}
	// Parse takes more than RFC 3339: hours of one digit, and a comma for the point.
	_, err = time.Parse(time.RFC3339, string(text))
	if err != nil || text[len("2006-01-02T15")] != ':' || bytes.ContainsRune(text, ',') {
		return fmt.Errorf(`member "time" is not an RFC 3339 time: %.60q`, text)
	}
	return nil
}

func (p *leafParser) parseOnce() error {
	once, err := p.stringOf("once")
	if err == nil && (len(once) == 0 || len(once) > maxOnce) {
		err = fmt.Errorf(`member "once" has %d bytes, and 1 to %d are allowed`, len(once), maxOnce)
	}
	p.once = once
	return err
}

func (p *leafParser) parseEvidence() error {
	if p.s.peek() != '[' {
		if err := p.s.value(); err != nil {
			return err
		}
		return errors.New(`member "evidence" is not an array`)
	}
	return p.s.array(p.parseBlobRef)
}

// Bits of the members that a blob reference must have.
const (
	haveName = 1 << iota
	haveSum
	haveLength
)

func (p *leafParser) parseBlobRef() error {
	if p.s.peek() != '{' {
		if err := p.s.value(); err != nil {
			return err
		}
		return errors.New(`member "evidence" holds something else than objects`)
	}
	var ref blobRef
	have := 0
	err := p.s.object(func(name token) error {
		var bit int
		var err error
		switch string(name.bytes()) {
		case "name":
			bit = haveName
			_, err = p.stringOf("evidence.name")
		case "sha256":
			bit = haveSum
			err = p.parseSum(&ref.sum)
		case "len":
			bit = haveLength
			ref.length, err = p.parseLength()
		default:
			return p.s.value()
		}
		if err == nil && have&bit != 0 {
			err = fmt.Errorf(`two members "evidence.%s"`, name.bytes())
		}
		have |= bit
		return err
	})
	if err == nil && have != haveName|haveSum|haveLength {
		err = errors.New(`member "evidence" holds an object without "name", "sha256" or "len"`)
	}
	p.evidence = append(p.evidence, ref)
	return err
}

func (p *leafParser) parseSum(sum *[hashSize]byte) error {
	text, err := p.stringOf("evidence.sha256")
	if err != nil {
		return err
	}
	if len(text) == 2*hashSize {
		_, err = hex.Decode(sum[:], text)
	}
	if len(text) != 2*hashSize || err != nil || bytes.ContainsAny(text, "ABCDEF") {
		return fmt.Errorf(`member "evidence.sha256" is not 64 lowercase hexadecimal digits: %.80q`, text)
	}
	return nil
}

func (p *leafParser) parseLength() (uint64, error) {
	p.s.space()
	start := p.s.pos
	if err := p.s.value(); err != nil {
		return 0, err
	}
	text := p.s.data[start:p.s.pos]
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 || n > MaxBlob {
		return 0, fmt.Errorf(`member "evidence.len" is not an integer from 0 to %d: %.40q`, MaxBlob, text)
	}
	return uint64(n), nil
}
