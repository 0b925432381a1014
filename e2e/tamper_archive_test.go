//go:build slow

package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/countersign-dev/countersign/ledger/bundle"
	"github.com/countersign-dev/countersign/ledger/verify"
)

// archiveMember is a file in an archive.
type archiveMember struct {
	header tar.Header
	data   []byte
}

// tamperArchive is a bundle's archive as it is exported, and taken apart.
type tamperArchive struct {
	t       *testing.T
	whole   []byte
	tar     []byte
	members []archiveMember
}

func newTamperArchive(t *testing.T, files bundleFiles) *tamperArchive {
	t.Helper()
	dir := t.TempDir()
	if err := files.apply(filepath.Join(dir, "bundle")); err != nil {
		t.Fatal(err)
	}
	src, err := verify.NewDir(filepath.Join(dir, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	file := filepath.Join(dir, "bundle"+bundle.Suffix)
	if _, err := bundle.Archive(context.Background(), src, file, nil); err != nil {
		t.Fatal(err)
	}
	a := &tamperArchive{t: t}
	if a.whole, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if a.tar, err = z.DecodeAll(a.whole, nil); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(bytes.NewReader(a.tar)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return a
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		a.members = append(a.members, archiveMember{*header, data})
	}
}

// compress makes an archive of what should be a tar.
func (a *tamperArchive) compress(tarred []byte, o ...zstd.EOption) []byte {
	z, err := zstd.NewWriter(nil, append([]zstd.EOption{zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)}, o...)...)
	if err != nil {
		a.t.Error(err)
		return nil
	}
	defer z.Close()
	return z.EncodeAll(tarred, nil)
}

// pack makes an archive of members.
func (a *tamperArchive) pack(members []archiveMember) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range members {
		header := m.header
		if header.Typeflag == tar.TypeReg {
			header.Size = int64(len(m.data))
		}
		if err := w.WriteHeader(&header); err != nil {
			a.t.Errorf("%s: %v", header.Name, err)
		}
		if _, err := w.Write(m.data); err != nil {
			a.t.Errorf("%s: %v", header.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		a.t.Error(err)
	}
	return a.compress(out.Bytes())
}

// packFiles makes an archive of a bundle.
func (a *tamperArchive) packFiles(files bundleFiles) []byte {
	var members []archiveMember
	for _, path := range files.paths() {
		m := regularMember(path, files[path])
		if path == verify.CheckpointPath {
			members = slices.Insert(members, 0, m)
		} else {
			members = append(members, m)
		}
	}
	return a.pack(members)
}

func regularMember(name string, data []byte) archiveMember {
	return archiveMember{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Format: tar.FormatUSTAR}, data}
}

// containerCases treat the archive as bytes, as a compressed file, and as a tar.
func (a *tamperArchive) containerCases() iter.Seq[tamperCase] {
	any := []verify.Code{verify.Tampered, verify.Incomplete, verify.Usage}
	return generated(func(add func(tamperCase)) {
		raw := func(operation, name string, data []byte) tamperCase {
			c := altered(objectArchive, operation, nil, "%s", name)
			c.raw = data
			return c.says(any...)
		}
		for b := range byteChanges("archive", a.whole, append(zstdCuts(a.whole), every(len(a.whole)/300, len(a.whole))...)) {
			c := raw(b.operation, b.name, b.data)
			if b.operation == "flip" && a.unpacksTheSame(b.data) {
				c = c.harmless() // such as the size of the window
			}
			add(c)
		}
		for _, bit := range chosenBits("archive, more", len(a.whole), 0, 64) {
			flipped := bytes.Clone(a.whole)
			flipped[bit/8] ^= 1 << (bit % 8)
			c := raw("flip", fmt.Sprintf("bit %d", bit), flipped)
			if a.unpacksTheSame(flipped) {
				c = c.harmless()
			}
			add(c)
		}
		skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'}
		add(raw("insert", "a frame to skip behind it", slices.Concat(a.whole, skippable)).says(verify.Tampered, verify.Verified))
		add(raw("insert", "a frame to skip before it", slices.Concat(skippable, a.whole)).says(verify.Usage))
		add(raw("insert", "another compressed file behind it", slices.Concat(a.whole, a.compress([]byte("more")))).says(verify.Tampered))
		add(raw("insert", "zeros behind the tar's end", a.compress(slices.Concat(a.tar, make([]byte, 1<<20)))).says(verify.Tampered, verify.Verified))
		add(raw("insert", "a byte behind the tar's end", a.compress(append(bytes.Clone(a.tar), 'x'))).says(verify.Tampered))
		add(raw("insert", "a byte and zeros behind the tar's end", a.compress(slices.Concat(a.tar, []byte("x"), make([]byte, 1<<20)))).says(verify.Tampered))
		add(raw("edit", "compressed again", a.compress(a.tar)).harmless())
		add(raw("edit", "compressed without a checksum", a.compress(a.tar, zstd.WithEncoderCRC(false))).harmless())
		add(raw("edit", "not compressed", a.tar).says(verify.Usage))
		add(raw("edit", "compressed otherwise", gzipped(a.tar)).says(verify.Usage))
		add(raw("edit", "of nothing", a.compress(nil)).says(verify.Usage))
		add(raw("edit", "of text", a.compress([]byte(strings.Repeat("this is no tar\n", 1000)))).says(verify.Usage))
		add(raw("edit", "of very many zeros", a.compress(slices.Concat(a.tar, make([]byte, 300<<20)))).says(verify.Tampered))
		a.tarCases(func(name string, data []byte) tamperCase { return raw("truncate", name, data) }, add)
	})
}

// tarCases cut the tar off, at its headers and files and beside them, and edit
// the first header.
func (a *tamperArchive) tarCases(cut func(name string, data []byte) tamperCase, add func(tamperCase)) {
	var cuts []int
	end := 0
	for _, m := range a.members {
		cuts = append(cuts, end, end+512, end+512+len(m.data))
		end += 512 + (len(m.data)+511)/512*512
	}
	cuts = append(cuts, end, end+512)
	for _, at := range around(cuts, len(a.tar)) {
		c := cut(fmt.Sprintf("the tar at %d of %d", at, len(a.tar)), a.compress(a.tar[:at]))
		if at >= end-511 {
			c = c.says(append(c.codes, verify.Verified)...) // padding only is gone
		}
		add(c)
	}
	for at := range 512 {
		for _, bit := range []int{at % 8, (at + 5) % 8} {
			edited := bytes.Clone(a.tar)
			edited[at] ^= 1 << bit
			c := altered(objectArchive, "flip", nil, "bit %d of byte %d of the tar's first header", bit, at).of(a.compress(edited))
			c = c.says(verify.Tampered, verify.Incomplete, verify.Usage)
			if at >= 148 && at < 156 { // the checksum, a number that can be written in several ways
				c = c.says(append(c.codes, verify.Verified)...)
			}
			add(c)
		}
	}
}

// of gives a case its bytes.
func (c tamperCase) of(raw []byte) tamperCase {
	c.raw = raw
	return c
}

// memberCases delete, duplicate, rename, reorder and add files of the archive.
func (a *tamperArchive) memberCases() iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		member := func(operation, name string, members []archiveMember) tamperCase {
			return altered(objectArchive, operation, nil, "%s", name).of(a.pack(members))
		}
		insert := func(at int, m archiveMember) []archiveMember { return slices.Insert(slices.Clone(a.members), at, m) }
		for i, m := range a.members {
			optional := m.header.Name == verify.WitnessedPath
			gone := member("delete", "the member "+m.header.Name, slices.Delete(slices.Clone(a.members), i, i+1)).says(verify.Incomplete)
			if optional {
				gone = gone.harmless()
			}
			add(gone)
			add(member("duplicate", "the member "+m.header.Name, insert(i, m)).says(verify.Tampered))
			add(member("duplicate", "the member "+m.header.Name+" at the end, forged", insert(len(a.members), regularMember(m.header.Name, []byte("x")))))
			moved := slices.Insert(slices.Delete(slices.Clone(a.members), i, i+1), 0, m)
			if i > 0 {
				add(member("reorder", "first the member "+m.header.Name, moved).says(verify.Incomplete))
			}
			if last := append(slices.Delete(slices.Clone(a.members), i, i+1), m); i > 0 {
				add(member("reorder", "last the member "+m.header.Name, last).harmless())
			}
			for _, name := range strangeNames(m.header.Name) {
				renamed := slices.Clone(a.members)
				renamed[i] = regularMember(name, m.data)
				add(member("rename", m.header.Name+" to "+name, renamed).says(verify.Tampered, verify.Incomplete, verify.Usage))
				add(member("insert", m.header.Name+" as "+name, insert(len(a.members), regularMember(name, m.data))))
			}
			for _, kind := range []byte{tar.TypeSymlink, tar.TypeLink, tar.TypeDir, tar.TypeFifo, tar.TypeChar, tar.TypeBlock} {
				special := archiveMember{header: tar.Header{Typeflag: kind, Name: m.header.Name, Linkname: verify.FormatPath, Mode: 0o644}}
				instead := slices.Clone(a.members)
				instead[i] = special
				add(member("replace", fmt.Sprintf("%s by one of type %q", m.header.Name, kind), instead).says(verify.Tampered, verify.Incomplete, verify.Usage))
				special.header.Name = "tile/0/003"
				add(member("insert", fmt.Sprintf("one of type %q after %s", kind, m.header.Name), insert(i+1, special)))
			}
			owned := slices.Clone(a.members)
			owned[i].header.Mode, owned[i].header.Uid, owned[i].header.Uname = 0o4777, 1000, "somebody"
			add(member("edit", "owner and mode of "+m.header.Name, owned).harmless())
		}
		files := bundleFiles{}
		for _, m := range a.members {
			files[m.header.Name] = m.data
		}
		add(member("reorder", "all backwards but the checkpoint", backwards(a.members)).harmless())
		add(member("insert", "a directory", insert(1, archiveMember{header: tar.Header{Typeflag: tar.TypeDir, Name: "tile/", Mode: 0o755}})))
		add(member("insert", "a long name", insert(1, archiveMember{tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("x/", 200) + "x", Mode: 0o644, Format: tar.FormatPAX}, []byte("x")})))
		add(member("insert", "a comment for all", insert(1, archiveMember{header: tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "x"}}})).
			says(verify.Tampered))
	})
}

func backwards(members []archiveMember) []archiveMember {
	members = slices.Clone(members)
	slices.Reverse(members[1:])
	return members
}

// strangeNames are names that lead elsewhere.
func strangeNames(name string) []string {
	return []string{
		"../" + name, "/" + name, "./" + name, "x/../" + name, name + "/x", name + ".bak", strings.ToUpper(name), "tile/0/003", " " + name, name + " ",
	}
}

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(data) // a buffer takes all
	_ = w.Close()
	return out.Bytes()
}

// zstdCuts are where the header of a compressed file ends, and its blocks.
func zstdCuts(data []byte) []int {
	var header zstd.Header
	if header.Decode(data) != nil {
		return nil
	}
	at := header.HeaderSize
	cuts := []int{4, at}
	for at+3 <= len(data) {
		block := int(data[at]) | int(data[at+1])<<8 | int(data[at+2])<<16
		length := block >> 3
		if block>>1&3 == 1 { // one byte, repeated
			length = 1
		}
		cuts = append(cuts, at, at+3)
		at += 3 + length
		if block&1 == 1 {
			break
		}
	}
	return append(cuts, at)
}

// unpacksTheSame says whether a compressed file has still the same content.
func (a *tamperArchive) unpacksTheSame(data []byte) bool {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(32<<20))
	if err != nil {
		return false
	}
	defer z.Close()
	same, err := io.ReadAll(z)
	return err == nil && bytes.Equal(same, a.tar)
}
