package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// maxSmall is the length of the files that are read whole: keys, policies,
// checkpoints, proofs.
const maxSmall = 1 << 20

// readSmall reads a file that a user has named.
func readSmall(path string) ([]byte, error) {
	text, err := readUpTo(path, maxSmall)
	if errors.Is(err, verify.ErrTooLong) {
		return nil, fmt.Errorf("%s has more than %s, far too many", path, byteCount(maxSmall))
	}
	return text, err
}

// readUpTo reads a file of at most limit bytes; the error of a longer one is
// verify.ErrTooLong. Nothing but a file is opened, as a pipe may never end,
// unless the shell has made it for this command.
func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fileError(path, err)
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular() && !isShellPipe(path, info):
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s: %w", path, verify.ErrTooLong)
	}
	return text, nil
}

// isShellPipe says whether a path is what a shell writes for <(command), or
// the standard input, and a pipe is there.
func isShellPipe(path string, info fs.FileInfo) bool {
	return info.Mode()&fs.ModeNamedPipe != 0 && (path == "/dev/stdin" || strings.HasPrefix(path, "/dev/fd/"))
}

// fileError says what is wrong with a file, its name once.
func fileError(path string, err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// writeOutput writes to the file that --output names, or to the standard
// output.
func writeOutput(c *cli.Context, data []byte) error {
	path := c.String("output")
	if path == "" {
		_, err := c.App.Writer.Write(data)
		return unprinted(err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeDevice(path, data)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".countersign-*")
	if err != nil {
		return fmt.Errorf("cannot write %w", fileError(path, err))
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot write %w", fileError(path, err)), os.Remove(f.Name()))
	}
	return nil
}

// writeDevice writes to a device, or to a pipe that somebody reads.
func writeDevice(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) {
		return fmt.Errorf("cannot write %s: nobody reads this pipe", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write %w", fileError(path, err))
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cannot write %w", fileError(path, err))
	}
	return nil
}
