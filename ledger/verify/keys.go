package verify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/witness"
)

// A key is a verifier key of a log.
type key struct {
	vkey string
	raw  string // its bytes: there are several ways to write them
	note.Verifier
}

func parseKey(vkey string) (key, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return key{}, fmt.Errorf("%.120q is not the verifier key of a log (<name>+<id>+<base64>, Ed25519): %w", vkey, err)
	}
	_, encoded, _ := strings.Cut(strings.TrimPrefix(vkey, v.Name()+"+"), "+")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return key{}, fmt.Errorf("%.120q is not the verifier key of a log: %w", vkey, err)
	}
	return key{vkey, string(raw), v}, nil
}

// id is the key without its bytes, for messages.
func (k key) id() string { return fmt.Sprintf("%s+%08x", k.Name(), k.KeyHash()) }

// trustedKeys are the keys of the options or, when there are none, of the logs
// that the policy names.
func trustedKeys(given []string, policy *witness.Policy) ([]key, error) {
	all := slices.Clone(given)
	if policy != nil && len(given) == 0 {
		for _, l := range policy.Logs {
			all = append(all, l.VKey)
		}
	}
	var keys []key
	for _, vkey := range all {
		k, err := parseKey(vkey)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(keys, k.same) {
			keys = append(keys, k)
		}
	}
	return keys, nil
}

func (k key) same(o key) bool {
	return k.Name() == o.Name() && k.KeyHash() == o.KeyHash() && k.raw == o.raw
}

// named are the keys for the log called origin. It is an error when keys are
// trusted and none is.
func named(keys []key, origin string) ([]key, *failure) {
	var of []key
	var others []string
	for _, k := range keys {
		if k.Name() == origin {
			of = append(of, k)
		} else if !slices.Contains(others, k.Name()) {
			others = append(others, k.Name())
		}
	}
	if len(of) == 0 && len(others) > 0 {
		f := fail(Tampered, CheckpointPath, "this is the log %s, and the given key belongs to %s", origin, strings.Join(others, ", "))
		f.Expected, f.Found = strings.Join(others, ", "), origin
		return nil, f
	}
	return of, nil
}

// A signing is what a signature by one key on a note is.
type signing int

const (
	unsigned signing = iota // there is none by this key
	signed
	missigned // there is one, and it does not verify
)

// signedBy says whether a note of sound form is signed by a key.
func signedBy(data []byte, v note.Verifier) signing {
	_, err := note.Open(data, note.VerifierList(v))
	if err == nil {
		return signed
	}
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return unsigned
	}
	return missigned
}

// signer is the first of the keys that has signed a note. Missigned is one whose
// signature does not verify.
func signer(data []byte, keys []key) (by, wrong *key) {
	for _, k := range keys {
		switch signedBy(data, k) {
		case signed:
			return &k, nil
		case missigned:
			wrong = &k
		}
	}
	return nil, wrong
}

// A keyring knows the keys of the log as its entries name them.
type keyring struct {
	origin  string
	trusted []key // those given that have the log's name; none: the log's own
	chain   []link
	refused string // why the latest rotation that does not count does not
}

// A link says from which entry on a key is the log's: checkpoints of more
// entries are signed by it.
type link struct {
	key
	entry uint64
}

// at is the key in force for a checkpoint of that size.
func (r *keyring) at(size uint64) *key {
	for i := len(r.chain) - 1; i >= 0; i-- {
		if i == 0 || size > r.chain[i].entry {
			return &r.chain[i].key
		}
	}
	return nil
}

// known are all keys that the entries name, and those that are trusted.
func (r *keyring) known() []key {
	keys := slices.Clone(r.trusted)
	for _, l := range r.chain {
		if !slices.ContainsFunc(keys, l.key.same) {
			keys = append(keys, l.key)
		}
	}
	return keys
}

// trusts says whether a trusted key is the log's first or any later one. Without
// trusted keys its own is.
func (r *keyring) trusts() bool {
	return len(r.trusted) == 0 || slices.ContainsFunc(r.chain, func(l link) bool {
		return slices.ContainsFunc(r.trusted, l.key.same)
	})
}

// given is the first trusted key that is one of the log's, empty when none is.
func (r *keyring) given() string {
	for _, k := range r.trusted {
		if slices.ContainsFunc(r.chain, func(l link) bool { return k.same(l.key) }) {
			return k.vkey
		}
	}
	return ""
}

// inForce is the key that has to have signed the checkpoint of that size, and
// whether it has. Without any key that the entries name (then this is no log of
// ours) it is one of the trusted ones.
func (r *keyring) inForce(checkpoint []byte, size uint64) (*key, *failure) {
	force := r.at(size)
	if force == nil {
		by, wrong := signer(checkpoint, r.trusted)
		if by != nil || wrong == nil && len(r.trusted) == 0 {
			return by, nil
		}
		return nil, r.unsigned(checkpoint)
	}
	if !r.trusts() {
		f := fail(Tampered, CheckpointPath, "the log's keys are others than the given one: its entries name %s", r.names())
		f.Expected, f.Found = names(r.trusted), r.names()
		return nil, f
	}
	switch signedBy(checkpoint, force) {
	case signed:
		return force, nil
	case missigned:
		return nil, missignedFailure(*force)
	}
	f := r.unsigned(checkpoint)
	f.Expected = "a signature by " + force.id() + ", the key in force"
	if r.refused != "" {
		f.Text += "; " + r.refused
	}
	return nil, f
}

func missignedFailure(k key) *failure {
	f := fail(Tampered, CheckpointPath, "its signature by the key %s does not verify", k.id())
	f.Expected, f.Found = "a signature of exactly this text", "one of another"
	return f
}

// unsigned says that a checkpoint has no signature that counts.
func (r *keyring) unsigned(checkpoint []byte) *failure {
	f := fail(Tampered, CheckpointPath, "it is not signed by a key of the log that is known")
	_, signatures, _ := splitNote(checkpoint)
	var by []string
	for _, s := range signatures {
		by = append(by, fmt.Sprintf("%s+%08x", s.name, s.id))
	}
	f.Expected, f.Found = "a signature by "+names(r.known()), "signatures by "+strings.Join(by, ", ")
	return f
}

func (r *keyring) names() string {
	var keys []key
	for _, l := range r.chain {
		keys = append(keys, l.key)
	}
	return names(keys)
}

func names(keys []key) string {
	var ids []string
	for _, k := range keys {
		ids = append(ids, k.id())
	}
	return strings.Join(ids, ", ")
}
