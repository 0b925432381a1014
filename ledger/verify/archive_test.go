package verify

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// A tarFile is a file of an archive as a test wants it.
type tarFile struct {
	tar.Header
	data []byte
}

// files are the files of a bundle, the checkpoint first.
func (m mapSource) files() []tarFile {
	list := []tarFile{regular("checkpoint", m["checkpoint"])}
	for _, path := range slices.Sorted(maps.Keys(m)) {
		if path != "checkpoint" {
			list = append(list, regular(path, m[path]))
		}
	}
	return list
}

func regular(name string, data []byte) tarFile {
	return tarFile{tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg}, data}
}

func pack(t testing.TB, files []tarFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if f.Typeflag == tar.TypeReg {
			f.Size = int64(len(f.data))
		}
		if err := w.WriteHeader(&f.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil && f.Typeflag == tar.TypeReg {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compress(t testing.TB, data []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	e, err := zstd.NewWriter(nil, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return e.EncodeAll(data, nil)
}

// openBytes opens an archive of these bytes. The directory for temporary files
// is empty before, and must be after an error.
func openBytes(t testing.TB, data []byte) (*Archive, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a.tar.zst")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := OpenArchive(t.Context(), file)
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); err != nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	return a, err
}

func TestArchive(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	l := sample(t)
	m := l.bundle(t)
	a, err := openBytes(t, compress(t, pack(t, m.files())))
	if err != nil {
		t.Fatal(err)
	}
	if r := Log(t.Context(), a, Options{}); r.Code != Verified || r.Entries != 600 || r.Blobs != 3 {
		t.Errorf("%+v %v", r, r.Problem)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestArchiveOfOtherTools takes what tar --zstd makes: a tar filled up to whole
// records, in a frame of any kind of block, with a checksum or without.
func TestArchiveOfOtherTools(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	l := newTestLog(t).fill(300)
	for range 3 {
		l.add(object("kind", "a", "text", strings.Repeat("x", 60_000)))
	}
	whole := pack(t, l.bundle(t).files())
	whole = append(whole, make([]byte, (tarRecord-len(whole)%tarRecord)%tarRecord)...)
	for _, opts := range [][]zstd.EOption{
		nil, {zstd.WithEncoderCRC(false)}, {zstd.WithNoEntropyCompression(true)}, {zstd.WithSingleSegment(true)},
		{zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(1 << 12)},
	} {
		a, err := openBytes(t, compress(t, whole, opts...))
		if err != nil {
			t.Fatal(err)
		}
		if r := Log(t.Context(), a, Options{}); r.Code != Verified {
			t.Errorf("%s %v", r.Verdict, r.Problem)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestArchivesRefused(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m := sample(t).bundle(t)
	files := m.files()
	whole := pack(t, files)
	with := func(f tarFile) []byte { return compress(t, pack(t, append(slices.Clone(files), f))) }
	typed := func(name string, flag byte, link string) []byte {
		return with(tarFile{Header: tar.Header{Name: name, Typeflag: flag, Linkname: link}})
	}
	blob := "blob/" + strings.Repeat("0a", 32)
	for _, test := range []struct {
		name string
		data []byte
		code Code
		text string
	}{
		{"nothing", nil, Usage, "not a ledger's archive"},
		{"text", []byte("hello"), Usage, "not a ledger's archive"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00"), Usage, "not a ledger's archive"},
		{"compressed text", compress(t, bytes.Repeat([]byte("hello "), 1000)), Usage, "not a ledger's archive"},
		{"compressed nothing", compress(t, nil), Usage, "not a ledger's archive"},
		{"other tar", compress(t, pack(t, []tarFile{regular("README", []byte("x"))})), Usage, `begins with "README"`},
		{"no checkpoint", compress(t, pack(t, files[1:])), Incomplete, "no checkpoint at its start"},
		{"malformed checkpoint", compress(t, pack(t, m.set("checkpoint", []byte("x")).files())), Tampered, "checkpoint in the archive is malformed"},
		{"checkpoint twice", with(files[0]), Tampered, "is there twice"},
		{"tile twice", with(files[5]), Tampered, "is there twice"},
		{"unknown file", with(regular("tile/x", nil)), Tampered, "does not belong to a ledger"},
		{"absolute", with(regular("/tmp/x", nil)), Tampered, "does not belong to a ledger"},
		{"absolute, known", with(regular("/checkpoint.witnessed", nil)), Tampered, "does not belong to a ledger"},
		{"dots", with(regular("../checkpoint", nil)), Tampered, "does not belong to a ledger"},
		{"dots inside", with(regular("tile/../checkpoint.witnessed", nil)), Tampered, "does not belong to a ledger"},
		{"dot", with(regular("./checkpoint.witnessed", nil)), Tampered, "does not belong to a ledger"},
		{"directory", typed("tile/", tar.TypeDir, ""), Tampered, "not a regular file"},
		{"symlink", typed("checkpoint.witnessed", tar.TypeSymlink, "/etc/passwd"), Tampered, "not a regular file"},
		{"hard link", typed("checkpoint.witnessed", tar.TypeLink, "checkpoint"), Tampered, "not a regular file"},
		{"device", typed("checkpoint.witnessed", tar.TypeChar, ""), Tampered, "not a regular file"},
		{"pipe", typed("checkpoint.witnessed", tar.TypeFifo, ""), Tampered, "not a regular file"},
		{"tile beyond the size", with(regular("tile/0/003", make([]byte, 8192))), Tampered, "a ledger of 600 entries"},
		{"tile too wide", with(regular("tile/0/002.p/89", make([]byte, 89*32))), Tampered, "a ledger of 600 entries"},
		{"tile too long", with(regular("tile/0/002.p/1", make([]byte, 33))), Tampered, "at most 32"},
		{"blob too long", with(regular(blob, make([]byte, MaxBlob+1))), Tampered, "at most 524288"},
		{"witnessed too long", with(regular("checkpoint.witnessed", make([]byte, MaxCheckpoint+1))), Tampered, "at most 65536"},
		{"something after the end", compress(t, append(slices.Clone(whole), 1)), Tampered, "after its end"},
		{"second archive after the end", compress(t, slices.Concat(whole, whole)), Tampered, "after its end"},
		{"something after the frame", append(compress(t, whole), "x"...), Tampered, "more in the file than the archive"},
		{"much after the frame", append(compress(t, whole), "abcdefgh"...), Tampered, "more in the file than the archive"},
		{"a zero after the frame", append(compress(t, whole), 0), Tampered, "more in the file than the archive"},
		{"an empty frame after the frame", append(compress(t, whole), compress(t, nil, zstd.WithZeroFrames(true))...), Tampered, "more in the file than the archive"},
		{"a skippable frame after the frame", append(compress(t, whole), "\x50\x2a\x4d\x18\x03\x00\x00\x00abc"...), Tampered, "more in the file than the archive"},
		{"a skippable frame before the frame", append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), compress(t, whole)...), Usage, "not a ledger's archive"},
		{"no end", compress(t, whole[:len(whole)-1024]), Tampered, "two blocks of zeros"},
		{"half an end", compress(t, whole[:len(whole)-512]), Tampered, "two blocks of zeros"},
		{"very many zeros after the end", compress(t, append(slices.Clone(whole), make([]byte, 10241)...)), Tampered, "after its end"},
		{"large window", windowOf(compress(t, whole, zstd.WithSingleSegment(false)), 0xff), Usage, "larger window"},
	} {
		a, err := openBytes(t, test.data)
		if err == nil {
			t.Errorf("%s: accepted", test.name)
			_ = a.Close()
			continue
		}
		r := Failed(err)
		if r.Code != test.code || !strings.Contains(r.Problem.Text, test.text) {
			t.Errorf("%s: %s %v", test.name, r.Verdict, r.Problem)
		}
	}
	if _, err := os.Stat("/tmp/x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was written outside")
	}
}

// windowOf sets the window's descriptor of a frame (RFC 8878, section 3.1.1.1.2).
func windowOf(frame []byte, descriptor byte) []byte {
	frame[4] &^= 0x20 // not a single segment
	frame[5] = descriptor
	return frame
}

// TestSparseFileRefused has a file whose header says that it is mostly a hole
// (GNU.sparse in a PAX header), which no writer of package tar makes.
func TestSparseFileRefused(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	files := newTestLog(t).bundle(t).files()[:1]
	data := pack(t, files)
	data = data[:len(data)-1024] // without the end
	record := func(key, value string) string {
		n := len(key) + len(value) + 3
		n += len(fmt.Sprint(n + 2))
		return fmt.Sprintf("%d %s=%s\n", n, key, value)
	}
	records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") + record("GNU.sparse.name", WitnessedPath) + record("GNU.sparse.realsize", "60000")
	data = append(data, rawTar("PaxHeaders/x", 'x', records)...)
	data = append(data, rawTar("GNUSparseFile/x", '0', "1\n0\n1\n"+strings.Repeat("\x00", 506)+"x")...)
	data = append(data, make([]byte, 1024)...)
	_, err := openBytes(t, compress(t, data))
	if r := Failed(err); r.Code != Tampered || !strings.Contains(r.Problem.Text, "not a regular file") {
		t.Errorf("%s %v", r.Verdict, r.Problem)
	}
}

// rawTar is the header and the blocks of a file (POSIX ustar).
func rawTar(name string, kind byte, data string) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000600\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x0000000000000\x00        %c", len(data), kind))
	copy(b[257:], "ustar\x0000")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(append(b, data...), make([]byte, (512-len(data)%512)%512)...)
}

func TestExtractionWithoutDisk(t *testing.T) {
	dir := mapSource{"tile": nil}.write(t, t.TempDir()) // a file where a directory has to be
	err := extract(t.Context(), bytes.NewReader(compress(t, pack(t, newTestLog(t).bundle(t).files()))), 1<<20, dir)
	if r := Failed(err); r.Code != Internal || !strings.Contains(r.Problem.Text, "TMPDIR names another") {
		t.Errorf("%s %v", r.Verdict, r.Problem)
	}
	if r := Failed(streamError(fmt.Errorf("%w: no space left on device", errDisk))); r.Code != Internal {
		t.Errorf("%s %v", r.Verdict, r.Problem)
	}
}

// TestArchiveCutAnywhere cuts an archive at many places: it is never verified,
// nor told to be altered.
func TestArchiveCutAnywhere(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	data := compress(t, pack(t, newTestLog(t).fill(300).bundle(t).files()))
	for n := 4; n < len(data); n += 1 + len(data)/300 {
		a, err := openBytes(t, data[:n])
		if err == nil {
			t.Errorf("cut at %d of %d: accepted", n, len(data))
			_ = a.Close()
		} else if r := Failed(err); r.Code != Incomplete {
			t.Errorf("cut at %d of %d: %s %v", n, len(data), r.Verdict, r.Problem)
		}
	}
}

// TestBomb has an archive whose few bytes would fill the disk.
func TestBomb(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	l := newTestLog(t)
	checkpoint := []byte(sign(t, fmt.Sprintf("%s\n%d\n%s\n", l.origin, uint64(1)<<62, strings.Repeat("A", 43)+"="), l.keys[0]))
	reader, writer := io.Pipe()
	go func() {
		z, _ := zstd.NewWriter(writer)
		w := tar.NewWriter(z)
		put := func(name string, data []byte) error {
			err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Typeflag: tar.TypeReg, Size: int64(len(data))})
			if err == nil {
				_, err = w.Write(data)
			}
			return err
		}
		err := put("checkpoint", checkpoint)
		for i := uint64(0); err == nil && i < 10_000; i++ {
			var sum [32]byte
			binary.BigEndian.PutUint64(sum[:], i)
			err = put(BlobPath(sum), make([]byte, MaxBlob))
		}
		writer.CloseWithError(errors.Join(err, w.Close(), z.Close()))
	}()
	dir := t.TempDir()
	const budget = 8 << 20
	err := extract(t.Context(), reader, budget, dir)
	_ = reader.CloseWithError(errBomb)
	if r := Failed(err); r.Code != Tampered || !strings.Contains(r.Problem.Text, "a few bytes of the archive become very many") {
		t.Errorf("%s %v", r.Verdict, r.Problem)
	}
	var written int64
	if err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if info, e := e.Info(); e == nil && info.Mode().IsRegular() {
			written += info.Size()
		}
		return err
	}); err != nil || written > budget {
		t.Errorf("%d bytes were written, %v", written, err)
	}
}

func TestArchiveInterrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "a.tar.zst")
	if err := os.WriteFile(file, compress(t, pack(t, newTestLog(t).bundle(t).files())), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenArchive(ctx, file); Failed(err).Problem.Text != "interrupted" {
		t.Error(err)
	}
}

// FuzzArchive makes sure that no archive writes outside of its directory, or
// more than it may.
func FuzzArchive(f *testing.F) {
	m := newTestLog(f).evidence("x").fill(3).bundle(f)
	for _, files := range [][]tarFile{
		m.files(), m.files()[1:], {regular("checkpoint", m["checkpoint"]), regular("../x", nil)},
		{regular("checkpoint", m["checkpoint"]), {Header: tar.Header{Name: "tile/0/000.p/1", Typeflag: tar.TypeSymlink, Linkname: "/etc"}}},
	} {
		f.Add(pack(f, files), true)
		f.Add(compress(f, pack(f, files)), false)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<16))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, packed bool) {
		if packed { // the fuzzer's tar in a sound frame, for it finds no checksums
			data = encoder.EncodeAll(data, nil)
		}
		around := t.TempDir()
		dir := filepath.Join(around, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		const budget = 1 << 20
		err := extract(t.Context(), bytes.NewReader(data), budget, dir)
		if _, ok := errors.AsType[*SourceError](err); err != nil && !ok {
			t.Fatalf("an error that no verdict follows from: %v", err)
		}
		if outside, err := os.ReadDir(around); err != nil || len(outside) != 1 {
			t.Fatalf("outside of the directory: %v, %v", outside, err)
		}
		var written int64
		if err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err == nil && !info.Mode().IsRegular() {
				err = fmt.Errorf("%s is a %s", path, info.Mode())
			}
			written += info.Size()
			return err
		}); err != nil || written > budget {
			t.Fatalf("%d bytes, %v", written, err)
		}
	})
}
