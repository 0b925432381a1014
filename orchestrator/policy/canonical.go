package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// MaxBytes is how long the canonical form of a policy may be: evidence that the
// ledger always takes.
const MaxBytes = 64 << 10

// Canonical is the whole document as canonical JSON: keys sorted, no space,
// numbers as ECMAScript prints them (RFC 8785 for this set of types). It
// panics on a policy that Validate refuses: NaN and infinities have no JSON.
func (p *Policy) Canonical() []byte {
	q := *p
	if q.Checks == nil {
		q.Checks = []Check{}
	}
	ordered, err := json.Marshal(q)
	var tree map[string]any // encodes with sorted keys
	if err == nil {
		err = json.Unmarshal(ordered, &tree)
	}
	var out bytes.Buffer
	if err == nil {
		enc := json.NewEncoder(&out)
		enc.SetEscapeHTML(false)
		err = enc.Encode(tree)
	}
	if err != nil {
		panic(fmt.Sprintf("policy: the document has no canonical form: %v", err))
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Digest is "sha256:" and the hex SHA-256 of the canonical document. Two
// documents have the same digest exactly when they decide alike under the
// same version name.
func (p *Policy) Digest() string {
	sum := sha256.Sum256(p.Canonical())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ParseCanonical reads back what Canonical wrote, and refuses all else: a key
// that it does not know, one that is missing, and a policy that Validate
// refuses. What it returns has the same canonical form.
func ParseCanonical(data []byte) (*Policy, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	p := new(Policy)
	if err := dec.Decode(p); err != nil {
		return nil, fmt.Errorf("this is not a recorded policy: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("this is not a recorded policy: something follows the document")
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("this recorded policy cannot be decided by: %w", err)
	}
	if !bytes.Equal(p.Canonical(), bytes.TrimSuffix(data, []byte("\n"))) {
		return nil, errors.New("this is not a recorded policy: it is not in canonical form")
	}
	return p, nil
}
