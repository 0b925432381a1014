package verify

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
	"strings"

	"github.com/klauspost/compress/zstd"
)

const (
	maxWindow   = 32 << 20  // of the compressed stream, in bytes
	bombFloor   = 256 << 20 // bytes any archive may extract to
	bombRatio   = 200       // times its own length that a larger one may
	tarBlock    = 512
	tarRecord   = 20 * tarBlock // other tools write whole ones
	tempPattern = "countersign-verify-*"
)

// Archive is a bundle that came as a .tar.zst file, extracted to a temporary
// directory. It is safe for concurrent use.
type Archive struct {
	*Dir
	temp string
}

// OpenArchive extracts a bundle's archive. Only files that a bundle of the
// checkpoint's size can have are written, none longer than its kind allows, and
// in total no more than 200 times the archive's length, or 256 MiB. An error is
// a *SourceError, or that of ctx.
func OpenArchive(ctx context.Context, path string) (*Archive, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &SourceError{Code: Usage, Text: "cannot open the archive", Err: err}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &SourceError{Code: Usage, Text: "cannot open the archive", Err: err}
	}
	if !info.Mode().IsRegular() {
		return nil, &SourceError{Code: Usage, Text: path + " is not a regular file"}
	}
	temp, err := os.MkdirTemp("", tempPattern)
	if err != nil {
		return nil, &SourceError{Code: Internal, Text: "cannot make a temporary directory to extract the archive to", Err: err}
	}
	a, err := openExtracted(ctx, f, max(bombFloor, bombRatio*info.Size()), temp)
	if err != nil {
		_ = os.RemoveAll(temp) // why the archive cannot be read matters more
		return nil, err
	}
	return a, nil
}

func openExtracted(ctx context.Context, f *os.File, budget int64, temp string) (*Archive, error) {
	if err := extract(ctx, f, budget, temp); err != nil {
		return nil, err
	}
	dir, err := NewDir(temp)
	if err != nil {
		return nil, &SourceError{Code: Internal, Text: "cannot read what was extracted", Err: err}
	}
	return &Archive{Dir: dir, temp: temp}, nil
}

// Close removes what was extracted.
func (a *Archive) Close() error {
	return errors.Join(a.Dir.Close(), os.RemoveAll(a.temp))
}

// An extraction is one archive on its way into a directory.
type extraction struct {
	tar  *tar.Reader
	from *bounded // what tar reads
	root *os.Root
	end  int64  // where the last file's content ends
	size uint64 // of the log, from the checkpoint at the archive's start
	made string // the directory made last: files mostly lie beside the one before
}

// extract writes the files of an archive into the directory dir, which must be
// empty.
func extract(ctx context.Context, r io.Reader, budget int64, dir string) error {
	buffered := bufio.NewReader(r)
	if magic, _ := buffered.Peek(4); string(magic) != "\x28\xb5\x2f\xfd" {
		return notAnArchive(nil)
	}
	frame := &frame{r: buffered}
	if err := frame.begin(); err != nil {
		return streamError(err)
	}
	z, err := zstd.NewReader(frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
	if err != nil {
		return notAnArchive(err)
	}
	defer z.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return &SourceError{Code: Internal, Text: "cannot extract the archive", Err: err}
	}
	defer root.Close()
	stream := &bounded{ctx: ctx, r: z, left: budget}
	x := &extraction{tar: tar.NewReader(stream), from: stream, root: root}
	if err := x.run(); err != nil {
		return err
	}
	if err := trailing(stream); err != nil {
		return err
	}
	if _, err := buffered.Peek(1); !errors.Is(err, io.EOF) {
		return &SourceError{Code: Tampered, Text: "there is more in the file than the archive", Err: err}
	}
	return nil
}

func notAnArchive(err error) error {
	return &SourceError{Code: Usage, Text: "this is not a ledger's archive (.tar.zst)", Err: err}
}

// run takes one file after the other, the checkpoint first.
func (x *extraction) run() error {
	for first := true; ; first = false {
		header, err := x.tar.Next()
		switch {
		case errors.Is(err, io.EOF) && !first:
			return x.ended()
		case errors.Is(err, tar.ErrHeader) && first, errors.Is(err, io.EOF):
			return notAnArchive(err)
		case err != nil:
			return streamError(err)
		}
		res, err := x.admit(header, first)
		if err != nil {
			return err
		}
		if err := x.write(header, res.limit(), first); err != nil {
			return err
		}
	}
}

// ended makes sure that the tar has the end it must have: after the last file, in
// whole blocks, two of zeros. Package tar does without.
func (x *extraction) ended() error {
	if x.from.done == (x.end+tarBlock-1)/tarBlock*tarBlock+2*tarBlock {
		return nil
	}
	return &SourceError{Code: Tampered, Text: "the archive does not end as a tar must, with two blocks of zeros"}
}

// admit says whether a file may be written, before anything is.
func (x *extraction) admit(header *tar.Header, first bool) (resource, error) {
	res, known := parsePath(header.Name)
	switch {
	case first && !known:
		return res, notAnArchive(fmt.Errorf("it begins with %q", header.Name))
	case first && res.kind != kindCheckpoint:
		return res, &SourceError{Code: Incomplete, Text: fmt.Sprintf(
			"the archive has no checkpoint at its start, where it must be; it begins with %s", header.Name)}
	case header.Typeflag != tar.TypeReg || sparse(header):
		return res, extra(header.Name, "is not a regular file")
	case !known:
		return res, extra(header.Name, "does not belong to a ledger")
	case header.Size < 0 || header.Size > res.limit():
		return res, extra(header.Name, fmt.Sprintf("has %d bytes, and a file of its kind has at most %d", header.Size, res.limit()))
	}
	if res.kind == kindTile || res.kind == kindEntries {
		if _, ok := res.belongs(x.size); !ok {
			return res, extra(header.Name, fmt.Sprintf("does not belong to a ledger of %d entries", x.size))
		}
	}
	return res, nil
}

func extra(name, problem string) error {
	return &SourceError{Code: Tampered, Text: fmt.Sprintf("the file %q in the archive %s", name, problem)}
}

// sparse says whether a file is stored with holes, which a few bytes can make
// as long as they like.
func sparse(header *tar.Header) bool {
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// write writes the present file. It never replaces one.
func (x *extraction) write(header *tar.Header, limit int64, first bool) error {
	name := filepath.FromSlash(header.Name)
	if err := x.mkdir(filepath.Dir(name)); err != nil {
		return writeError(err)
	}
	f, err := x.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return extra(header.Name, "is there twice")
	}
	if err != nil {
		return writeError(err)
	}
	_, err = io.Copy(diskWriter{f}, io.LimitReader(x.tar, limit))
	if err := errors.Join(err, f.Close()); err != nil {
		return streamError(err)
	}
	x.end = x.from.done
	if !first {
		return nil
	}
	data, err := x.root.ReadFile(name)
	if err != nil {
		return writeError(err)
	}
	c, err := ParseCheckpoint(data)
	if err != nil {
		return &SourceError{Code: Tampered, Text: "the checkpoint in the archive is malformed", Err: err}
	}
	x.size = c.Size
	return nil
}

func (x *extraction) mkdir(dir string) error {
	if x.made == dir {
		return nil
	}
	x.made = dir
	return x.root.MkdirAll(dir, 0o700)
}

// trailing makes sure that nothing follows the tar's end but the zeros that fill
// its last record.
func trailing(r io.Reader) error {
	block := make([]byte, tarRecord)
	for left := tarRecord; ; {
		n, err := r.Read(block)
		if left -= n; left < 0 {
			return &SourceError{Code: Tampered, Text: "there is something in the archive after its end"}
		}
		for _, b := range block[:n] {
			if b != 0 {
				return &SourceError{Code: Tampered, Text: "there is something in the archive after its end"}
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return streamError(err)
		}
	}
}

var errBomb = errors.New("the archive extracts to more than it can hold of a ledger")

// bounded reads no more than left bytes, and none once ctx has ended.
type bounded struct {
	ctx  context.Context
	r    io.Reader
	left int64
	done int64 // read so far
}

func (b *bounded) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	b.done += int64(n)
	if b.left -= int64(n); b.left < 0 {
		return 0, errBomb
	}
	return n, err
}

// errDisk marks an error of the disk that is written to.
var errDisk = errors.New("cannot write what the archive holds")

type diskWriter struct{ f *os.File }

func (w diskWriter) Write(p []byte) (int, error) {
	n, err := w.f.Write(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", errDisk, err)
	}
	return n, err
}

func writeError(err error) error {
	return &SourceError{Code: Internal, Text: "cannot write what the archive holds to the temporary directory; TMPDIR names another", Err: err}
}

// streamError says what it means that the archive cannot be read on.
func streamError(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, errDisk):
		return writeError(err)
	case errors.Is(err, errBomb):
		return &SourceError{Code: Tampered, Text: "stopped extracting: a few bytes of the archive become very many; " +
			"if you trust it, extract it by hand (tar --zstd -xf) and verify the directory", Err: err}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &SourceError{Code: Incomplete, Text: "the archive ends too early", Err: err}
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &SourceError{Code: Usage, Text: "the archive is compressed with a larger window than 32 MiB; extract it by hand and verify the directory", Err: err}
	default:
		return &SourceError{Code: Tampered, Text: "the archive is damaged", Err: err}
	}
}
