package witness

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// Signature types of https://c2sp.org/signed-note, the first byte of a
// verifier key's key material.
const (
	typeEd25519     = 0x01 // a log's
	typeCosignature = 0x04 // a witness's
)

// cosignatureSize is a timestamp and an Ed25519 signature.
const cosignatureSize = 8 + ed25519.SignatureSize

// NewVerifier returns the verifier of a witness's key, written as
// <name>+<key id>+<base64 of 0x04 and the public key>. The signatures it
// accepts are a big-endian time in seconds and an Ed25519 signature over
// "cosignature/v1\ntime <seconds>\n" and the checkpoint's text. Every other
// kind of key is an error. The verifier is safe for concurrent use.
func NewVerifier(vkey string) (note.Verifier, error) {
	k, err := parseKey(vkey)
	if err != nil {
		return nil, err
	}
	if k.kind != typeCosignature {
		return nil, fmt.Errorf("the key of %s has signature type 0x%02x: a witness's must be 0x%02x (Ed25519 cosignature/v1)", k.name, k.kind, typeCosignature)
	}
	return cosignatureKey{k}, nil
}

// VerifierKey writes the verifier key of a witness called name, as
// [NewVerifier] reads it.
func VerifierKey(name string, key ed25519.PublicKey) string {
	material := append([]byte{typeCosignature}, key...)
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, material), base64.StdEncoding.EncodeToString(material))
}

// NewCosigner returns the signer of a witness called name, which signs
// checkpoints as cosignature/v1 with the time that now says. Signing fails
// when that lies before 1970. One key must serve one witness only: the
// signature does not bind the name. The signer is safe for concurrent use
// when now is.
func NewCosigner(name string, key ed25519.PrivateKey, now func() time.Time) note.Signer {
	public := key.Public().(ed25519.PublicKey)
	return &cosigner{name: name, id: keyID(name, append([]byte{typeCosignature}, public...)), key: key, now: now}
}

type cosigner struct {
	name string
	id   uint32
	key  ed25519.PrivateKey
	now  func() time.Time
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.id }

func (c *cosigner) Sign(text []byte) ([]byte, error) {
	seconds := c.now().Unix()
	if seconds < 0 {
		return nil, errors.New("cannot cosign: the clock shows a time before 1970")
	}
	signature := binary.BigEndian.AppendUint64(nil, uint64(seconds))
	return append(signature, ed25519.Sign(c.key, cosigned(uint64(seconds), text))...), nil
}

// cosigned is the message that a cosignature signs.
func cosigned(seconds uint64, text []byte) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
}

type cosignatureKey struct{ key }

func (c cosignatureKey) Verify(text, signature []byte) bool {
	if len(signature) != cosignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(signature)
	return seconds <= math.MaxInt64 && ed25519.Verify(c.public, cosigned(seconds, text), signature[8:])
}

// key is a verifier key taken apart.
type key struct {
	name   string
	id     uint32
	kind   byte
	public ed25519.PublicKey
}

func (k key) Name() string    { return k.name }
func (k key) KeyHash() uint32 { return k.id }

// parseKey reads an Ed25519 verifier key, of a log or of a witness.
func parseKey(vkey string) (key, error) {
	fields := strings.SplitN(vkey, "+", 3)
	if len(fields) != 3 {
		return key{}, fmt.Errorf("%q is not a verifier key: that is <name>+<key id>+<base64>", vkey)
	}
	name := fields[0]
	if !validName(name) {
		return key{}, fmt.Errorf("the verifier key %q has no sound name: it must not be empty or hold spaces", vkey)
	}
	id, err := strconv.ParseUint(fields[1], 16, 32)
	if err != nil || len(fields[1]) != 8 {
		return key{}, fmt.Errorf("the verifier key of %s has the key id %q: that is 8 hexadecimal digits", name, fields[1])
	}
	material, err := base64.StdEncoding.Strict().DecodeString(fields[2])
	if err != nil || len(material) == 0 || strings.ContainsAny(fields[2], "\r\n") {
		return key{}, fmt.Errorf("the verifier key of %s does not end in base64", name)
	}
	if uint32(id) != keyID(name, material) {
		return key{}, fmt.Errorf("the verifier key of %s does not match its key id: it was copied with an error", name)
	}
	k := key{name: name, id: uint32(id), kind: material[0], public: material[1:]}
	if k.kind != typeEd25519 && k.kind != typeCosignature {
		return key{}, fmt.Errorf("the key of %s has signature type 0x%02x: only Ed25519 keys are supported (0x01, 0x04)", name, k.kind)
	}
	if len(k.public) != ed25519.PublicKeySize {
		return key{}, fmt.Errorf("the key of %s is %d bytes long: an Ed25519 key is %d", name, len(k.public), ed25519.PublicKeySize)
	}
	return k, nil
}

// keyID is the first four bytes of SHA-256(name, newline, key material).
func keyID(name string, material []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), material...))
	return binary.BigEndian.Uint32(sum[:])
}

// validName says whether a signature line can carry name.
func validName(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsSpace(r) || r == '+' || r < ' '
	})
}
