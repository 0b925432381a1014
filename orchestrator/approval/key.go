package approval

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyFile is the name of the key's file in the data directory.
const KeyFile = "approval.key"

const (
	pemType    = "PRIVATE KEY"
	maxKeyFile = 4 << 10
)

// Key signs and verifies the tokens of links. It is no other key's: who has it
// can make links, and nothing else. It is safe for concurrent use.
type Key struct {
	private ed25519.PrivateKey
	public  ed25519.PublicKey
	id      string
	form    [sha256.Size]byte // keys the code in forms
}

// OpenKey reads the Ed25519 key in a file, PKCS #8 in PEM, and makes one for the
// file's owner alone when there is no such file. Links of a key that was lost
// are dead, and no worse comes of it.
func OpenKey(path string) (*Key, error) {
	k, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("no key for approvals can be made: %w", err)
	}
	if err := storeKey(path, private); err != nil {
		return nil, fmt.Errorf("the key for approvals cannot be kept, so that no link would outlive a restart; give the sidecar a data directory that it may write: %w", err)
	}
	return readKey(path)
}

func readKey(path string) (*Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("the key for approvals cannot be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, fmt.Errorf("the key for approvals cannot be read: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("%s is no key for approvals: it must hold one Ed25519 key, PKCS #8 in PEM; remove it to have a new one made", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds another key than an Ed25519 one; remove it to have a new one made", path)
	}
	return newKey(private), nil
}

func newKey(private ed25519.PrivateKey) *Key {
	public, _ := private.Public().(ed25519.PublicKey) // of this type always
	sum := sha256.Sum256(public)
	return &Key{
		private: private, public: public, id: base64.RawURLEncoding.EncodeToString(sum[:9]),
		form: sha256.Sum256(append([]byte("countersign approval form\x00"), private.Seed()...)),
	}
}

// ID names the key in the tokens that it signed: the first nine bytes of the
// SHA-256 sum of the public key, base64url.
func (k *Key) ID() string { return k.id }

// Public is the half of the key that verifies.
func (k *Key) Public() ed25519.PublicKey { return k.public }

// storeKey writes the file whole or not at all. Whoever made one in the meantime
// wins.
func storeKey(path string, private ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".approval-*") // for its owner alone
	if err != nil {
		return err
	}
	err = errors.Join(pem.Encode(f, &pem.Block{Type: pemType, Bytes: der}), f.Sync(), f.Close())
	if err == nil {
		if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	err = errors.Join(err, os.Remove(f.Name()))
	if err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
