package bundle

import (
	"archive/tar"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// Suffix is how the name of an archive ends.
const Suffix = ".tar.zst"

// maxWindow is the most that a reader of an archive's beginning may be made to
// keep of it, in bytes.
const maxWindow = 32 << 20

// leading are the files at the beginning of an archive, in order: who reads it
// learns first what it is.
var leading = []string{verify.CheckpointPath, verify.FormatPath, verify.WitnessedPath}

// Archive writes the log that src reads as a bundle in one .tar.zst file. The
// same log always makes the same tar. An archive that is there already is
// replaced, in one step, if the log continues it; any other file is an error.
// progress and errors are those of [Export].
//
// The bundle lies beside the archive, in .<name>.export, until it is packed,
// so that the file system needs room for both.
func Archive(ctx context.Context, src verify.Source, file string, progress func(done, total uint64)) (result Result, err error) {
	path, err := filepath.Abs(file)
	if err != nil {
		return Result{}, fmt.Errorf("cannot find %s: %w", file, err)
	}
	x := &exporting{src: src, progress: progress, bundle: path}
	if x.since, err = archived(path); err != nil {
		return Result{}, err
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".export")
	if err := makePrivateDir(temp); err != nil {
		return Result{}, err
	}
	lock, err := lockDir(temp)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp), lock.Close()) }()
	if err := clearDir(temp); err != nil {
		return Result{}, fmt.Errorf("cannot remove what an interrupted export has left in %s: %w", temp, err)
	}
	dir := filepath.Join(temp, "bundle")
	if result, err = x.run(ctx, dir); err != nil {
		return Result{}, err
	}
	packed := filepath.Join(temp, "archive")
	if err := pack(ctx, dir, packed); err != nil {
		return Result{}, fmt.Errorf("cannot write the archive: %w", err)
	}
	if err := os.Rename(packed, path); err != nil {
		return Result{}, fmt.Errorf("cannot put the archive in place: %w", err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return Result{}, fmt.Errorf("cannot put the archive in place: %w", err)
	}
	return result, nil
}

// clearDir removes what is in a directory.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// archived returns the checkpoint of the archive that is there, nil when there
// is none.
func archived(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at what is in the archive's place: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		return nil, fmt.Errorf("%s is a directory: give an archive another name", path)
	}
	checkpoint, err := readCheckpoint(f)
	if err != nil {
		return nil, fmt.Errorf("%s exists and is no archive of a ledger (%w): it was not overwritten, give another name", path, err)
	}
	return checkpoint, nil
}

// readCheckpoint reads the checkpoint at the beginning of an archive.
func readCheckpoint(r io.Reader) ([]byte, error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	// The headers before the first file are a few kilobytes, too.
	t := tar.NewReader(io.LimitReader(z, 4*verify.MaxCheckpoint))
	header, err := t.Next()
	if errors.Is(err, io.EOF) {
		err = errors.New("it is empty")
	}
	if err != nil {
		return nil, err
	}
	if header.Name != verify.CheckpointPath || header.Typeflag != tar.TypeReg || header.Size > verify.MaxCheckpoint {
		return nil, errors.New("it does not begin with a checkpoint")
	}
	return io.ReadAll(t)
}

// pack writes the bundle in dir as an archive, durably.
func pack(ctx context.Context, dir, file string) (err error) {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	buffered := bufio.NewWriterSize(f, 1<<20)
	z, err := zstd.NewWriter(buffered)
	if err != nil {
		return err
	}
	p := &packing{ctx: ctx, dir: dir, tar: tar.NewWriter(z)}
	err = p.all()
	err = errors.Join(err, p.tar.Close(), z.Close())
	if err == nil {
		err = buffered.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return err
}

// packing is the writing of a bundle's files into an archive.
type packing struct {
	ctx context.Context
	dir string
	tar *tar.Writer
}

// all packs the leading files and then the others in the order of their names.
func (p *packing) all() error {
	for _, path := range leading {
		if err := p.file(path); err != nil && !errAbsent(err) {
			return err
		}
	}
	return filepath.WalkDir(p.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		path, err := filepath.Rel(p.dir, name)
		if err != nil || slices.Contains(leading, path) {
			return err
		}
		return p.file(filepath.ToSlash(path))
	})
}

func (p *packing) file(path string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(p.dir, filepath.FromSlash(path)))
	if err != nil {
		return err
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatUSTAR}
	if err := p.tar.WriteHeader(header); err != nil {
		return err
	}
	_, err = p.tar.Write(data)
	return err
}
