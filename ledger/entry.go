package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// maxOnce is the longest "once" in bytes.
const maxOnce = 256

// draft is an entry that was found to be sound in itself, ready to be placed.
type draft struct {
	leaf     []byte
	hash     tlog.Hash
	once     *[32]byte // SHA-256 of its "once", nil when it has none
	evidence []evidence
	blobs    map[[32]byte][]byte // those given, by SHA-256
}

// evidence is a blob that a leaf names.
type evidence struct {
	name string
	sum  [32]byte
	len  int64
}

// newDraft judges an entry of a caller.
func newDraft(e Entry) (*draft, error) {
	d, err := parseLeaf(e.Leaf)
	if err != nil {
		return nil, err
	}
	d.blobs = make(map[[32]byte][]byte, len(e.Blobs))
	for i, blob := range e.Blobs {
		if len(blob) > MaxBlob {
			return nil, fmt.Errorf("blob %d has %d bytes: at most %d are allowed", i, len(blob), MaxBlob)
		}
		d.blobs[sha256.Sum256(blob)] = blob
	}
	named := make(map[[32]byte]bool, len(d.evidence))
	for _, ev := range d.evidence {
		named[ev.sum] = true
		if blob, ok := d.blobs[ev.sum]; ok && int64(len(blob)) != ev.len {
			return nil, fmt.Errorf("the evidence %q says %d bytes, its blob has %d", ev.name, ev.len, len(blob))
		}
	}
	for sum := range d.blobs {
		if !named[sum] {
			return nil, fmt.Errorf("the blob with the SHA-256 sum %x is not named in the leaf's evidence", sum)
		}
	}
	return d, nil
}

// ownDraft makes a draft of one of the ledger's own entries.
func ownDraft(leaf []byte) *draft { return &draft{leaf: leaf, hash: tlog.RecordHash(leaf)} }

// parseLeaf judges a leaf. It keeps the slice.
func parseLeaf(leaf []byte) (*draft, error) {
	switch {
	case len(leaf) > MaxLeaf:
		return nil, fmt.Errorf("the leaf has %d bytes: at most %d are allowed", len(leaf), MaxLeaf)
	case !utf8.Valid(leaf):
		return nil, fmt.Errorf("the leaf is not valid UTF-8")
	case !json.Valid(leaf):
		return nil, fmt.Errorf("the leaf is not valid JSON")
	}
	d := &draft{leaf: leaf}
	hasKind := false
	err := eachMember(leaf, func(name string, value []byte) (err error) {
		switch name {
		case "kind":
			hasKind = true
			err = checkKind(value)
		case "time":
			err = checkTime(value)
		case "once":
			d.once, err = parseOnce(value)
		case "evidence":
			d.evidence, err = parseEvidence(value)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the leaf: %w", err)
	}
	if !hasKind {
		return nil, fmt.Errorf(`the leaf has no "kind"`)
	}
	d.hash = tlog.RecordHash(leaf)
	return d, nil
}

func checkKind(value []byte) error {
	kind, ok := parseString(value)
	if !ok || kind == "" {
		return fmt.Errorf(`"kind" must be a string that is not empty`)
	}
	if strings.HasPrefix(kind, ownPrefix) {
		return fmt.Errorf("the kind %q is reserved: %q begins the ledger's own", kind, ownPrefix)
	}
	return nil
}

func checkTime(value []byte) error {
	text, ok := parseString(value)
	_, err := time.Parse(time.RFC3339, text)
	// Parse is more lenient than RFC 3339: it takes hours of one digit and a comma in the seconds.
	if !ok || err != nil || text[len("2006-01-02T15")] != ':' || strings.Contains(text, ",") {
		return fmt.Errorf(`"time" must be a time of RFC 3339, such as "2006-01-02T15:04:05Z"`)
	}
	return nil
}

func parseOnce(value []byte) (*[32]byte, error) {
	once, ok := parseString(value)
	if !ok || once == "" || len(once) > maxOnce {
		return nil, fmt.Errorf(`"once" must be a string of 1 to %d bytes`, maxOnce)
	}
	// Two different lone surrogates would be the same string once they are decoded.
	if strings.ContainsRune(once, utf8.RuneError) {
		return nil, fmt.Errorf(`"once" must not have lone surrogates or U+FFFD`)
	}
	sum := sha256.Sum256([]byte(once))
	return &sum, nil
}

func parseEvidence(value []byte) ([]evidence, error) {
	var items []json.RawMessage
	if value[0] != '[' || json.Unmarshal(value, &items) != nil {
		return nil, fmt.Errorf(`"evidence" must be an array`)
	}
	list := make([]evidence, 0, len(items))
	for i, item := range items {
		ev, err := parseEvidenceItem(item)
		if err != nil {
			return nil, fmt.Errorf("evidence %d: %w", i, err)
		}
		list = append(list, ev)
	}
	return list, nil
}

func parseEvidenceItem(item []byte) (ev evidence, err error) {
	const hasName, hasSum, hasLen = 1, 2, 4
	has := 0
	err = eachMember(item, func(name string, value []byte) error {
		ok := true
		switch name {
		case "name":
			has |= hasName
			ev.name, ok = parseString(value)
		case "sha256":
			has |= hasSum
			ev.sum, ok = parseSum(value)
		case "len":
			has |= hasLen
			ok = json.Unmarshal(value, &ev.len) == nil && value[0] != 'n' && ev.len >= 0 && ev.len <= MaxBlob
		}
		if !ok {
			return fmt.Errorf(`%q is wrong: "name" must be a string, "sha256" 64 lowercase hexadecimal digits, "len" an integer from 0 to %d`, name, MaxBlob)
		}
		return nil
	})
	if err == nil && has != hasName|hasSum|hasLen {
		err = fmt.Errorf(`it must have "name", "sha256" and "len"`)
	}
	return ev, err
}

func parseSum(value []byte) (sum [32]byte, ok bool) {
	text, ok := parseString(value)
	if !ok || len(text) != 2*len(sum) || strings.ToLower(text) != text {
		return sum, false
	}
	_, err := hex.Decode(sum[:], []byte(text))
	return sum, err == nil
}

// parseString reads a JSON string.
func parseString(value []byte) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	return text, json.Unmarshal(value, &text) == nil
}
