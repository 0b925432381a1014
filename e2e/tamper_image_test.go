//go:build slow

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// bundleFiles are the files of a bundle by their path. In a change to one, nil
// stands for a file that is removed.
type bundleFiles map[string][]byte

// readBundle reads a bundle's directory.
func readBundle(t testing.TB, dir string) bundleFiles {
	t.Helper()
	files := bundleFiles{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[filepath.ToSlash(path[len(dir)+1:])] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// with is the bundle after a change.
func (f bundleFiles) with(change bundleFiles) bundleFiles {
	all := maps.Clone(f)
	maps.Copy(all, change)
	maps.DeleteFunc(all, func(_ string, data []byte) bool { return data == nil })
	return all
}

// paths are the names of the files, in order.
func (f bundleFiles) paths() []string { return slices.Sorted(maps.Keys(f)) }

// apply changes the bundle in a directory. It leaves no directory empty.
func (f bundleFiles) apply(dir string) error {
	for path, data := range f {
		name := filepath.Join(dir, filepath.FromSlash(path))
		if data == nil {
			if err := os.RemoveAll(name); err != nil {
				return err
			}
			for above := filepath.Dir(name); above != dir && os.Remove(above) == nil; above = filepath.Dir(above) {
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// revert is the change that undoes a change.
func (f bundleFiles) revert(change bundleFiles) bundleFiles {
	back := bundleFiles{}
	for path := range change {
		back[path] = f[path]
	}
	return back
}

// dirImage is all that is in a directory, holes of files left out.
type dirImage struct {
	dirs  map[string]fs.FileMode
	files map[string]imageFile
}

type imageFile struct {
	mode  fs.FileMode
	size  int64
	parts []imagePart // what is not zero, in order
}

type imagePart struct {
	at   int64
	data []byte
}

const imageBlock = 4096

// takeImage reads a directory, as a crash would leave it at one moment: Badger
// compacts a store that is open whenever it likes, so two readings have to agree.
func takeImage(t testing.TB, dir string) *dirImage {
	t.Helper()
	image, err := readImage(dir)
	for range 100 {
		before, failed := image, err
		if image, err = readImage(dir); err == nil && failed == nil && before.difference(image) == "" {
			return image
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	t.Fatalf("%s does not stand still for two readings: the last ended with %v", dir, err)
	return nil
}

func readImage(dir string) (*dirImage, error) {
	image := &dirImage{dirs: map[string]fs.FileMode{}, files: map[string]imageFile{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			image.dirs[name] = info.Mode()
			return nil
		}
		file, err := readImageFile(path, info)
		image.files[name] = file
		return err
	})
	return image, err
}

func readImageFile(path string, info fs.FileInfo) (imageFile, error) {
	file := imageFile{mode: info.Mode(), size: info.Size()}
	if !info.Mode().IsRegular() {
		return file, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer f.Close()
	zero := make([]byte, imageBlock)
	for at := int64(0); at < info.Size(); {
		if at, err = seekData(f, at, info.Size()); err != nil || at == info.Size() {
			return file, err
		}
		block := make([]byte, min(imageBlock, info.Size()-at))
		if _, err := f.ReadAt(block, at); err != nil && err != io.EOF {
			return file, err
		}
		if !bytes.Equal(block, zero[:len(block)]) {
			file.parts = append(file.parts, imagePart{at, block})
		}
		at += int64(len(block))
	}
	return file, nil
}

// seekData finds the next block of a file that is not a hole.
func seekData(f *os.File, at, size int64) (int64, error) {
	const whenceData = 3 // lseek(2), SEEK_DATA; ENXIO when there is no more
	next, err := f.Seek(at, whenceData)
	if err != nil {
		return size, nil
	}
	return next / imageBlock * imageBlock, nil
}

// write makes the directory.
func (d *dirImage) write(dir string) error {
	for _, name := range slices.Sorted(maps.Keys(d.dirs)) {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return err
		}
	}
	for name, file := range d.files {
		if err := file.write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (f imageFile) write(path string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, f.mode.Perm())
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(f.size); err != nil {
		return err
	}
	for _, part := range f.parts {
		if _, err := out.WriteAt(part.data, part.at); err != nil {
			return err
		}
	}
	return out.Close()
}

// content is the file whole.
func (f imageFile) content() []byte {
	data := make([]byte, f.size)
	for _, part := range f.parts {
		copy(data[part.at:], part.data)
	}
	return data
}

// used is where the last block that is not zero ends.
func (f imageFile) used() int64 {
	if len(f.parts) == 0 {
		return 0
	}
	last := f.parts[len(f.parts)-1]
	return last.at + int64(len(last.data))
}

// difference says what is not the same in two images, nothing if all is.
func (d *dirImage) difference(other *dirImage) string {
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		file, ok := other.files[name]
		switch was := d.files[name]; {
		case !ok:
			return name + " is gone"
		case was.mode != file.mode || was.size != file.size:
			return fmt.Sprintf("%s was %v of %d bytes and is %v of %d", name, was.mode, was.size, file.mode, file.size)
		case !slices.EqualFunc(was.parts, file.parts, func(a, b imagePart) bool { return a.at == b.at && bytes.Equal(a.data, b.data) }):
			return name + " has another content"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(other.files)) {
		if _, ok := d.files[name]; !ok {
			return name + " has come"
		}
	}
	if !maps.Equal(d.dirs, other.dirs) {
		return "the directories are others"
	}
	return ""
}
