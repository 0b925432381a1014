package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Files of the anchor's directory. What is written goes to a name with
// tempSuffix first, which nobody reads.
const (
	checkpointName = "checkpoint"
	witnessedName  = "checkpoint.witnessed"
	tempSuffix     = ".tmp"
)

// readAnchor reads the last acknowledged checkpoint; nil when there is none.
func readAnchor(dir string) (*Checkpoint, error) {
	return readCheckpoint(filepath.Join(dir, checkpointName))
}

func readCheckpoint(path string) (*Checkpoint, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the anchor: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCheckpoint+1))
	if err != nil {
		return nil, fmt.Errorf("reading the anchor: %w", err)
	}
	c, err := parseCheckpoint(data)
	if err != nil {
		return nil, &IntegrityError{Index: -1, Problem: fmt.Sprintf("the anchor %s: %v", path, err)}
	}
	return c, nil
}

// writeTemp writes the file that is to become path, and makes it durable.
func writeTemp(path string, data []byte) error {
	f, err := os.OpenFile(path+tempSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// renameTemp puts the file of writeTemp in place.
func renameTemp(path string) error { return os.Rename(path+tempSuffix, path) }

// replaceFile gives a file another content, all at once.
func replaceFile(path string, data []byte) error {
	if err := writeTemp(path, data); err != nil {
		return err
	}
	if err := renameTemp(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
