package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// unpacked lists the names in an archive in order, and its tar.
func unpacked(t *testing.T, file string) (names []string, plain []byte) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if plain, err = z.DecodeAll(data, nil); err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(plain))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, plain
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

func TestArchive(t *testing.T) {
	l := logtest.New(t, "log")
	l.GrowTo(l.Size()+300, "entry")
	l.Witness()
	l.GrowTo(l.Size()+300, "entry")
	file := filepath.Join(t.TempDir(), "log.tar.zst")
	for _, size := range []int{601, 601, 1000} {
		l.GrowTo(uint64(size), "entry")
		r, err := Archive(t.Context(), l, file, nil)
		if err != nil || r.Size != uint64(size) || r.Files != uint64(len(l.Files())) {
			t.Fatalf("%+v, %v", r, err)
		}
		nothingBeside(t, file)
		if r := verified(t, file, l); r.Code != verify.Verified || r.Size != uint64(size) {
			t.Errorf("%s of %d entries: %+v", r.Verdict, r.Size, r.Problem)
		}
		names, plain := unpacked(t, file)
		if !slices.Equal(names[:3], []string{"checkpoint", "countersign-ledger", "checkpoint.witnessed"}) || !slices.IsSorted(names[3:]) {
			t.Errorf("names %v", names)
		}
		got := map[string]bool{}
		for _, name := range names {
			got[name] = true
		}
		if !maps.Equal(got, l.Files()) || len(names) != len(got) {
			t.Errorf("files %v", names)
		}
		again := filepath.Join(t.TempDir(), "again.tar.zst")
		if _, err := Archive(t.Context(), l, again, nil); err != nil {
			t.Fatal(err)
		}
		if _, other := unpacked(t, again); !bytes.Equal(plain, other) {
			t.Error("the same log makes two archives")
		}
	}
}

func TestArchivesAreReplacedOnlyByWhatContinuesThem(t *testing.T) {
	l, fork, shorter, other := logtest.New(t, "log"), logtest.New(t, "log"), logtest.New(t, "log"), logtest.New(t, "other")
	l.GrowTo(l.Size()+300, "entry")
	fork.GrowTo(fork.Size()+400, "other")
	shorter.GrowTo(shorter.Size()+200, "entry")
	other.GrowTo(other.Size()+400, "entry")
	file := filepath.Join(t.TempDir(), "log.tar.zst")
	if _, err := Archive(t.Context(), l, file, nil); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		log  *logtest.Log
		want string
	}{
		"a fork":         {fork, "does not continue the 301 entries in " + file},
		"an older state": {shorter, "it has fewer"},
		"another log":    {other, "holds another log than this one, under another key"},
	} {
		_, err := Archive(t.Context(), c.log, file, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, ok := errors.AsType[*RollbackError](err); ok != (name != "another log") {
			t.Errorf("%s: %v", name, err)
		}
		after, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s: the archive has changed: %v", name, err)
		}
		nothingBeside(t, file)
	}
}

func TestWhatIsInTheArchivesPlaceIsKept(t *testing.T) {
	l := logtest.New(t, "log")
	temp := t.TempDir()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var empty, wrong bytes.Buffer
	if err := tar.NewWriter(&empty).Close(); err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(&wrong)
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "cat.jpg", Mode: 0o600}), w.Close()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ data, want string }{
		"letter":  {"Dear Sir", "exists and is no archive of a ledger"},
		"nothing": {"", "exists and is no archive of a ledger"},
		"empty":   {string(z.EncodeAll(empty.Bytes(), nil)), "it is empty"},
		"photos":  {string(z.EncodeAll(wrong.Bytes(), nil)), "it does not begin with a checkpoint"},
	} {
		file := filepath.Join(temp, name)
		if err := os.WriteFile(file, []byte(c.data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Archive(t.Context(), l, file, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if data, err := os.ReadFile(file); err != nil || string(data) != c.data {
			t.Errorf("%s: the file has changed: %v", name, err)
		}
	}
	if _, err := Archive(t.Context(), l, temp, nil); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
	if _, err := Archive(t.Context(), l, filepath.Join(temp, "none", "x.tar.zst"), nil); err == nil || !strings.Contains(err.Error(), "does not exist, make it first") {
		t.Errorf("a missing directory: %v", err)
	}
	nothingBeside(t, filepath.Join(temp, "letter"))
}

func TestLeftoversOfAnArchiveAreCleared(t *testing.T) {
	l := logtest.New(t, "log")
	file := filepath.Join(t.TempDir(), "log.tar.zst")
	left := filepath.Join(filepath.Dir(file), ".log.tar.zst.export", "bundle")
	if err := os.MkdirAll(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(left, "cat.jpg"), []byte("meow"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Archive(t.Context(), l, file, nil); err != nil {
		t.Fatal(err)
	}
	nothingBeside(t, file)
	if r := verified(t, file, l); r.Code != verify.Verified {
		t.Errorf("%s: %+v", r.Verdict, r.Problem)
	}
}

func FuzzReadCheckpoint(f *testing.F) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	var sound bytes.Buffer
	w := tar.NewWriter(&sound)
	if err := w.WriteHeader(&tar.Header{Name: "checkpoint", Mode: 0o600, Size: 5}); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Write([]byte("hello")); err != nil {
		f.Fatal(err)
	}
	f.Add(z.EncodeAll(sound.Bytes(), nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkpoint, err := readCheckpoint(bytes.NewReader(data)); err == nil && len(checkpoint) > verify.MaxCheckpoint {
			t.Errorf("a checkpoint of %d bytes", len(checkpoint))
		}
	})
}
