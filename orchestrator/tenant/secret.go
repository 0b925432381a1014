package tenant

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	// SecretVariable may hold the own tenant's secret. It has no flag: the
	// command line of a process can be read by others.
	SecretVariable = "COUNTERSIGN_SECRET"
	// secretName is the file in the data directory with the own tenant's
	// secret; those that were made for others have -ID behind it.
	secretName = "secret"
	// A secret has 16 to 512 characters.
	minSecret = 16
	maxSecret = 512
)

// ErrUnkept is in the error of OwnSecret and AccessSecret when a secret that was
// made could not be written down. It is returned all the same, for this
// process: nobody knows it, so that it opens nothing to anybody.
var ErrUnkept = errors.New("the secret cannot be kept")

// OwnSecret is the own tenant's secret: that in file when one is named, else
// that of SecretVariable, else that in the data directory dir, where it is
// made if there is none. An error never has any of it.
func OwnSecret(dir, file string, getenv func(string) string) (string, error) {
	if file != "" {
		return ReadSecret(file)
	}
	if s := strings.TrimSpace(getenv(SecretVariable)); s != "" {
		if err := checkSecret(s); err != nil {
			return "", fmt.Errorf("$%s %w", SecretVariable, err)
		}
		return s, nil
	}
	return made(filepath.Join(dir, secretName))
}

// StoredSecret is where OwnSecret keeps the secret that it makes.
func StoredSecret(dir string) string { return filepath.Join(dir, secretName) }

// Secret is what is sent to the tenant's health URL with each request: the
// secret that was configured, or none. An error never has any of it.
func (c Config) Secret(getenv func(string) string) (string, error) {
	switch {
	case c.SecretFile != "":
		s, err := ReadSecret(c.SecretFile)
		if err != nil {
			return "", fmt.Errorf("the secret of the tenant %q: %w", c.ID, err)
		}
		return s, nil
	case c.SecretEnv != "":
		s := strings.TrimSpace(getenv(c.SecretEnv))
		if s == "" {
			return "", fmt.Errorf("the secret of the tenant %q: $%s is not set", c.ID, c.SecretEnv)
		}
		if err := checkSecret(s); err != nil {
			return "", fmt.Errorf("the secret of the tenant %q: $%s %w", c.ID, c.SecretEnv, err)
		}
		return s, nil
	}
	return "", nil
}

// AccessSecret is what opens the tenant in the admin API: the secret that was
// configured, else one in the data directory dir, where it is made if there is
// none. That one is sent nowhere.
func (c Config) AccessSecret(dir string, getenv func(string) string) (string, error) {
	s, err := c.Secret(getenv)
	if err != nil || s != "" {
		return s, err
	}
	return made(filepath.Join(dir, secretName+"-"+c.ID))
}

// ReadSecret reads a secret from a file. An error never has any of it.
func ReadSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("the secret in %s cannot be read: %w", path, pathless(err))
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return "", fmt.Errorf("the secret cannot be read: %s is a directory", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 2*maxSecret))
	if err != nil {
		return "", fmt.Errorf("the secret in %s cannot be read: %w", path, pathless(err))
	}
	s := strings.TrimSpace(string(text))
	if err := checkSecret(s); err != nil {
		return "", fmt.Errorf("the secret in %s %w", path, err)
	}
	return s, nil
}

// checkSecret says whether s can be a secret. The error completes the sentence
// "The secret …".
func checkSecret(s string) error {
	switch {
	case len(s) < minSecret:
		return fmt.Errorf("is too short: give it at least %d characters, such as those of openssl rand -hex 32", minSecret)
	case len(s) > maxSecret:
		return fmt.Errorf("is too long: give it at most %d characters", maxSecret)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }):
		return errors.New("must be printable ASCII without spaces, as it is sent in a header")
	}
	return nil
}

// made reads the secret in a file, and makes it when there is no such file: 32
// random bytes, for the file's owner alone.
func made(path string) (string, error) {
	s, err := ReadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	s = base64.RawURLEncoding.EncodeToString(random[:])
	if err := store(path, s); err != nil {
		return s, fmt.Errorf("%w in %s: %w", ErrUnkept, path, pathless(err))
	}
	return s, nil
}

// store writes a file that is whole or not there, whenever the machine stops.
func store(path, s string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".secret-*") // for its owner alone
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, s+"\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// pathless is an error of a file without the file's name, which the sentence
// around it has.
func pathless(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
