package notify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// maxSecret is the most bytes of a secret.
const maxSecret = 4096

// Secret is where a secret is: a file or a variable of the environment. It is
// read each time it is needed, so that one that was changed is in force at
// once, and prints as its place.
type Secret struct{ File, Env string }

// Given says whether a place was configured.
func (s Secret) Given() bool { return s.File != "" || s.Env != "" }

// String is the place.
func (s Secret) String() string {
	switch {
	case s.File != "":
		return "file " + s.File
	case s.Env != "":
		return "$" + s.Env
	}
	return "not given"
}

// Read reads the secret, without the blanks around it. The error is an *Error
// and has nothing of it.
func (s Secret) Read(getenv func(string) string) (string, error) {
	var text string
	switch {
	case s.File != "":
		read, err := readFile(s.File)
		if err != nil {
			return "", &Error{
				Retry: true, Text: fmt.Sprintf("the secret in %s cannot be read: %v", s.File, err), Mend: mendFile(err),
			}
		}
		text = read
	case s.Env != "":
		text = getenv(s.Env)
	}
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return "", &Error{Retry: true, Text: "the secret (" + s.String() + ") is empty", Mend: "put it there"}
	case len(text) > maxSecret || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }):
		return "", &Error{
			Text: "the secret (" + s.String() + ") cannot be one",
			Mend: fmt.Sprintf("it must be one line of at most %d printable ASCII characters", maxSecret),
		}
	}
	return text, nil
}

// mendFile says what to do about a file that cannot be read.
func mendFile(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "let the user that countersign runs as read it"
	case errors.Is(err, syscall.EISDIR):
		return "name the file in that directory"
	}
	return "put it there, and give its whole path"
}

// readFile reads no more than makes it plain that a file is too long.
func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err == nil {
		defer func() { _ = f.Close() }()
		var text []byte
		if text, err = io.ReadAll(io.LimitReader(f, 2*maxSecret)); err == nil {
			return string(text), nil
		}
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		err = pe.Err // the sentence around it has the path
	}
	return "", err
}
