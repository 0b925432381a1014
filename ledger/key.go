package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Files of a ledger's directory.
const (
	keyName     = "ledger.key"
	nextKeyName = "ledger.key.next" // a key that is not yet, or only just, the log's
)

// key is a note signer key and what others know of it.
type key struct {
	note.Signer
	secret string // "PRIVATE+KEY+…"
	vkey   string // "<name>+<id>+<base64>"
	from   string // where it was read, for messages
}

// id is what tells it from other keys in a message.
func (k *key) id() string { return keyID(k.vkey) }

// keyID cuts a verifier key down to its name and id.
func keyID(vkey string) string {
	fields := strings.SplitN(vkey, "+", 3)
	return strings.Join(fields[:min(len(fields), 2)], "+")
}

// generateKey makes a key for the log of a name.
func generateKey(origin string) (*key, error) {
	secret, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return &key{Signer: signer, secret: secret, vkey: vkey, from: "a new key"}, nil
}

// parseKey reads a note signer key. Its error never holds the key.
func parseKey(secret, from string) (*key, error) {
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, fmt.Errorf("%s is not a note signer key (PRIVATE+KEY+<name>+<id>+<base64>, Ed25519): it may have been copied with an error", from)
	}
	// NewSigner has checked the whole: five fields, the last of which is the
	// base64 of the kind of key and its seed.
	fields := strings.SplitN(secret, "+", 5)
	material, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	public := ed25519.NewKeyFromSeed(material[1:]).Public().(ed25519.PublicKey)
	vkey, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	return &key{Signer: signer, secret: secret, vkey: vkey, from: from}, nil
}

// readKey reads a key file. The error wraps fs.ErrNotExist when there is none.
func readKey(path string) (*key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): chmod 600 %s", path, info.Mode().Perm(), path)
	}
	const longest = 1024
	if info.Size() > longest {
		return nil, fmt.Errorf("%s has %d bytes: a key has fewer than %d", path, info.Size(), longest)
	}
	data := make([]byte, info.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		return nil, fmt.Errorf("reading the ledger's key: %w", err)
	}
	return parseKey(string(bytes.TrimSuffix(data, []byte("\n"))), path)
}

// writeKey makes a key file that only its owner can read. It never overwrites one.
func writeKey(path string, k *key) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("writing the ledger's key: %w", err)
	}
	_, err = f.WriteString(k.secret + "\n")
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing the ledger's key: %w", err)
	}
	return nil
}

// adoptKey makes the next key the one in the key file.
func adoptKey(dir string) error {
	err := os.Rename(filepath.Join(dir, nextKeyName), filepath.Join(dir, keyName))
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("putting the ledger's new key in place: %w", err)
	}
	return nil
}

// dropKey removes a key file, if it is there.
func dropKey(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("removing a key that is not used: %w", err)
	}
	return nil
}

// optionalKey is readKey, but nil for a file that is not there.
func optionalKey(path string) (*key, error) {
	k, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return k, err
}
