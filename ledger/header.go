package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// registryName is where Badger lists the keys of an encrypted store. Ours is
// not, so that the file always has the same length and ends in the same text.
const (
	registryName = "KEYREGISTRY"
	registrySize = 28
	registryEnd  = "Hello Badger"
)

// checkHeaders looks at what Badger believes unseen when it opens a store: a
// length in its key registry, for which it would take gigabytes of memory, and
// the key number at the beginning of each log, which is 0 without encryption.
func checkHeaders(store string) error {
	files, err := storeFiles(store)
	if err != nil {
		return err
	}
	for _, file := range files {
		name := file.Name()
		data, err := beginning(filepath.Join(store, name), registrySize+1)
		if err != nil {
			return fmt.Errorf("reading the store: %w", err)
		}
		damaged := false
		switch {
		case name == registryName:
			damaged = len(data) != registrySize || !strings.HasSuffix(string(data), registryEnd)
		case strings.HasSuffix(name, walSuffix), strings.HasSuffix(name, ".vlog"):
			damaged = strings.Trim(string(data[:min(8, len(data))]), "\x00") != ""
		}
		if damaged {
			return &IntegrityError{Index: -1, Problem: fmt.Sprintf("the store's file %s does not begin as one of an unencrypted store does", name)}
		}
	}
	return nil
}

// beginning reads at most n bytes of a file.
func beginning(path string, n int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data := make([]byte, n)
	got, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	return data[:got], nil
}
