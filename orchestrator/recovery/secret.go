package recovery

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// secretPrefix begins a key of Standard Webhooks.
	secretPrefix = "whsec_"
	minKey       = 24 // bytes, as Standard Webhooks has it
	maxKey       = 64
	maxKeys      = 4
	maxSecret    = 4096
	minSecret    = 8
)

// read returns what is at the secret's place, without the space around it. An
// error says where it is, and never has any of it.
func (s Secret) read(getenv func(string) string) (string, error) {
	text, where := "", ""
	if s.File != "" {
		where = "the secret in " + s.File
		f, err := os.Open(s.File)
		if err != nil {
			return "", fmt.Errorf("%s cannot be read: %w", where, pathless(err))
		}
		defer func() { _ = f.Close() }()
		all, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
		if err != nil {
			return "", fmt.Errorf("%s cannot be read: %w", where, pathless(err))
		}
		text = string(all)
	} else {
		where = "the secret in $" + s.Env
		text = getenv(s.Env)
	}
	if len(text) > maxSecret {
		return "", fmt.Errorf("%s has more than %d bytes", where, maxSecret)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", fmt.Errorf("%s is empty: put it there", where)
	}
	return text, nil
}

// pathless is an error of a file without the file's name.
func pathless(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// keys are the signing keys in a secret: one, or several while they are being
// replaced.
func (s Secret) keys(getenv func(string) string) ([][]byte, error) {
	text, err := s.read(getenv)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(text)
	if len(words) > maxKeys {
		return nil, fmt.Errorf("the secret %s has %d keys: at most %d can sign together", s.ID(), len(words), maxKeys)
	}
	var keys [][]byte
	for _, word := range words {
		encoded, ok := strings.CutPrefix(word, secretPrefix)
		key, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil {
			return nil, fmt.Errorf("the secret %s is no key of Standard Webhooks: make one with echo %s$(openssl rand -base64 32)", s.ID(), secretPrefix)
		}
		if len(key) < minKey || len(key) > maxKey {
			return nil, fmt.Errorf("the secret %s has a key of %d bytes: it must have %d to %d", s.ID(), len(key), minKey, maxKey)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// secrets are those of one action, for the time of sending it.
type secrets struct {
	keys    [][]byte
	headers map[string]string // whole values, by name
	// words are what must stand nowhere.
	words []string
}

func (a Action) load(getenv func(string) string) (secrets, error) {
	s := secrets{headers: map[string]string{}}
	if !a.Unsigned {
		keys, err := a.Secret.keys(getenv)
		if err != nil {
			return secrets{}, err
		}
		s.keys = keys
		for _, key := range keys {
			s.words = append(s.words, base64.StdEncoding.EncodeToString(key))
		}
	}
	for _, name := range a.headerNames() {
		h, ok := a.SecretHeaders[name]
		if !ok {
			continue
		}
		text, err := h.Secret.read(getenv)
		if err != nil {
			return secrets{}, fmt.Errorf("the header %s: %w", name, err)
		}
		if !isHeaderText(text) || len(text) < minSecret {
			return secrets{}, fmt.Errorf("the header %s: the secret %s must be one line of printable ASCII of %d characters or more", name, h.Secret.ID(), minSecret)
		}
		s.headers[name] = h.Prefix + text
		s.words = append(s.words, text)
	}
	return s, nil
}

// strike puts stars where a text has one of the secrets, as it is or as others
// write it in JSON or a URL.
func (s secrets) strike(text []byte) []byte {
	for _, word := range s.words {
		for _, form := range []string{word, strings.ReplaceAll(word, "/", `\/`), url.QueryEscape(word), url.PathEscape(word)} {
			text = bytes.ReplaceAll(text, []byte(form), []byte("***"))
		}
	}
	return text
}

// signature is the webhook-signature header of Standard Webhooks: for each key
// an HMAC-SHA256 over id, time and body.
func (s secrets) signature(id string, at time.Time, body string) string {
	var all []string
	for _, key := range s.keys {
		mac := hmac.New(sha256.New, key)
		_, _ = io.WriteString(mac, id+"."+strconv.FormatInt(at.Unix(), 10)+"."+body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
