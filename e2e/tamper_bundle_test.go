//go:build slow

package e2e

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// sequence yields the cases of some generators, one after the other.
func sequence(generators ...iter.Seq[tamperCase]) iter.Seq[tamperCase] {
	return func(yield func(tamperCase) bool) {
		for _, g := range generators {
			for c := range g {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// generated turns a function that hands over cases into a generator of them.
func generated(fill func(add func(tamperCase))) iter.Seq[tamperCase] {
	return func(yield func(tamperCase) bool) {
		open := true
		fill(func(c tamperCase) { open = open && yield(c) })
	}
}

// absent says what it means that a file of the bundle is not there.
func (f tamperFile) absent(c tamperCase) tamperCase {
	switch f.object {
	case objectWitnessed: // whether there is one is for those to ask who want it
		return c.harmless().saysIn(withWitness, verify.AnchorAbsent)
	case objectBlob:
		return c.says(verify.Incomplete).at(f.owners[0])
	case objectTile:
		return c.says(verify.Incomplete).within(f.span(0).first, f.span(len(f.data)/32-1).last)
	case objectEntries:
		return c.says(verify.Incomplete).within(256*f.n, 256*f.n+bytes.Count(f.data, []byte(`{"kind":`)))
	}
	return c.says(verify.Incomplete)
}

// other says what it means that a file has another content, from an offset on.
func (f tamperFile) other(c tamperCase, at int, resized bool) tamperCase {
	switch f.object {
	case objectFormat: // which can come to say that it is of a later version
		return c.says(verify.Tampered, verify.Usage)
	case objectWitnessed:
		c = c.saysIn(withWitness, verify.Tampered, verify.AnchorAbsent)
		if at >= f.cuts[len(f.cuts)-2] { // a cosignature, which nobody can check who does not know the witness
			return c.says(verify.Tampered, verify.Verified)
		}
		return c
	}
	return f.place(c, at, resized)
}

// fileCases treats every file of a bundle as bytes.
func (l *tamperLog) fileCases(size int) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	return generated(func(add func(tamperCase)) {
		for _, path := range bundle.paths() {
			f := l.file(size, path)
			add(f.absent(altered(f.object, "delete", bundleFiles{path: nil}, "%s", path)))
			for b := range byteChanges(path, f.data, f.cuts) {
				c := altered(f.object, b.operation, bundleFiles{path: b.data}, "%s: %s", path, b.name)
				add(f.other(c, b.at, len(b.data) != len(f.data)))
			}
		}
	})
}

// swapCases exchanges files of a bundle with each other, and gives them names
// that others have, or that none should have.
func (l *tamperLog) swapCases(size int) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	paths := bundle.paths()
	return generated(func(add func(tamperCase)) {
		for i, a := range paths {
			f := l.file(size, a)
			for _, b := range paths[i+1:] {
				if a == verify.CheckpointPath && b == verify.WitnessedPath {
					continue // of restoredCases
				}
				c := altered(f.object, "reorder", bundleFiles{a: bundle[b], b: bundle[a]}, "%s and %s", a, b)
				add(c.says(verify.Tampered))
			}
			for _, name := range strays(a) {
				if _, taken := bundle[name]; taken {
					continue
				}
				add(altered(f.object, "duplicate", bundleFiles{name: f.data}, "%s as %s", a, name))
				add(f.renamed(altered(f.object, "rename", bundleFiles{name: f.data, a: nil}, "%s to %s", a, name)))
			}
		}
	})
}

// renamed says what it means that a file has another name.
func (f tamperFile) renamed(c tamperCase) tamperCase {
	if f.object == objectWitnessed {
		return c
	}
	return c.says(verify.Tampered, verify.Incomplete)
}

// strays are names under which a file does not belong.
func strays(path string) []string {
	names := []string{path + ".bak", path + "~", "x/" + path, "ledger.key", ".hidden", strings.ToUpper(path)}
	if strings.HasPrefix(path, "tile/") {
		names = append(names, "tile/0/003", "tile/0/002.p/89", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/x000/000", "tile/0/0000",
			"tile/1/001", "tile/2/000.p/1", "tile/8/000", "tile/entries/003", "tile/entries/002.p/89", "tile/00/000", "tile/-1/000")
	}
	if name, ok := strings.CutPrefix(path, "blob/"); ok {
		names = append(names, "blob/"+strings.Repeat("0", 64), "blob/"+name[1:], "blob/x"+name[1:], "blob/"+name+"0")
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == path })
}

// formCases put something in the place of a file that is no file.
func (l *tamperLog) formCases(size int) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	return generated(func(add func(tamperCase)) {
		for _, path := range bundle.paths() {
			f := l.file(size, path)
			replace := func(what string, make func(name, outside string) error) tamperCase {
				c := altered(f.object, "replace", bundleFiles{path: nil}, "%s by %s", path, what).says(verify.Tampered, verify.Incomplete)
				c.spoil = func(dir string) error {
					name := filepath.Join(dir, filepath.FromSlash(path))
					if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
						return err
					}
					return make(name, filepath.Join(filepath.Dir(dir), "outside"))
				}
				return c
			}
			add(replace("a link to itself", func(name, _ string) error { return os.Symlink(filepath.Base(name), name) }))
			add(replace("a link out of the bundle", func(name, outside string) error {
				if err := os.WriteFile(outside, f.data, 0o600); err != nil {
					return err
				}
				return os.Symlink(outside, name)
			}))
			add(replace("a link to nothing", func(name, _ string) error { return os.Symlink("nothing", name) }))
			add(replace("a pipe", func(name, _ string) error { return syscall.Mkfifo(name, 0o600) }))
			add(replace("an empty directory", func(name, _ string) error { return os.Mkdir(name, 0o700) }))
			add(replace("a full directory", func(name, _ string) error {
				return bundleFiles{"x": f.data}.apply(name)
			}))
		}
		for _, name := range []string{"empty", "tile/3", "tile/0/001.p", "blob/0"} {
			c := altered(objectBundle, "insert", bundleFiles{name: nil}, "the empty directory %s", name)
			c.spoil = func(dir string) error { return os.MkdirAll(filepath.Join(dir, name), 0o700) }
			add(c.says(verify.Tampered, verify.Verified)) // one that an export leaves is no file
		}
	})
}

// earlierCases leave partial tiles of earlier sizes in a bundle, as exports that
// were interrupted do, and alter those.
func (l *tamperLog) earlierCases(size, earlier int) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	left := bundleFiles{}
	for path, data := range l.bundles[earlier] {
		if _, present := bundle[path]; !present && strings.HasPrefix(path, "tile/") {
			left[path] = data
		}
	}
	return generated(func(add func(tamperCase)) {
		for _, path := range left.paths() {
			f := l.file(earlier, path)
			add(altered(f.object, "insert", bundleFiles{path: f.data}, "%s of %d entries", path, earlier).harmless())
			for b := range byteChanges(path, f.data, f.cuts) {
				add(altered(f.object, b.operation, bundleFiles{path: b.data}, "%s of %d entries: %s", path, earlier, b.name))
			}
		}
	})
}

// spliceCases put files of other logs, and of the log's own past, in the place of
// its files: one by one and by kind.
func (l *tamperLog) spliceCases(size int, others map[string]bundleFiles) iter.Seq[tamperCase] {
	bundle := l.bundles[size]
	return generated(func(add func(tamperCase)) {
		for _, name := range sortedKeys(others) {
			other := others[name]
			for _, path := range bundle.paths() {
				data, ok := other[path]
				f := l.file(size, path)
				c := altered(f.object, "splice", bundleFiles{path: data}, "%s of %s", path, name)
				switch {
				case !ok || path == verify.WitnessedPath:
				case bytes.Equal(data, f.data):
					add(c.harmless())
				case path == verify.CheckpointPath:
					add(c.says(verify.Tampered, verify.Incomplete).saysIn(withOwnKey, verify.Tampered, verify.Incomplete, verify.Usage))
				default:
					add(f.place(c, firstDifference(f.data, data), len(data) != len(f.data)))
				}
			}
			for _, kind := range []string{"tile/entries/", "tile/", "blob/", "tile/0/", "tile/1/", "checkpoint"} {
				change := bundleFiles{}
				for path := range bundle {
					if strings.HasPrefix(path, kind) {
						change[path] = nil
					}
				}
				for path, data := range other {
					if strings.HasPrefix(path, kind) {
						change[path] = data
					}
				}
				if bundle.same(change) {
					continue
				}
				c := altered(objectBundle, "splice", change, "%s… of %s", kind, name)
				add(c.says(verify.Tampered, verify.Incomplete))
			}
		}
	})
}

// same says whether a change is none.
func (f bundleFiles) same(change bundleFiles) bool {
	for path, data := range change {
		if was, ok := f[path]; ok != (data != nil) || !bytes.Equal(was, data) {
			return false
		}
	}
	return true
}

// instead is the change that makes another bundle of one.
func (f bundleFiles) instead(other bundleFiles) bundleFiles {
	change := bundleFiles{}
	for path := range f {
		change[path] = nil
	}
	for path, data := range other {
		change[path] = data
	}
	return change
}

// wholeCases put another log, or an older state of this one, in the place of the
// whole: what no verification can find without help from outside.
func (s *tamperScene) wholeCases() iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		main := s.main.bundles[tamperSize]
		whole := func(name string, other bundleFiles) tamperCase {
			return altered(objectBundle, "restore", main.instead(other), "%s", name)
		}
		for _, size := range []int{340, olderSize, 550} {
			older := whole(fmt.Sprintf("the log of %d entries", size), s.main.bundles[size]).undetectable()
			if size > 340 {
				older = older.saysIn(withOldest, verify.Verified)
			}
			add(older)
			add(whole(fmt.Sprintf("a fork of %d entries", size), s.fork.bundles[size]).undetectable().saysIn(withOldest, verify.Rollback))
		}
		add(whole("a fork of as many entries", s.fork.bundles[tamperSize]).undetectable().saysIn(withOldest, verify.Rollback))
		add(whole("a longer fork, that never changed its key", s.longFork.bundles[longOlder]).undetectable().saysIn(withOldest, verify.Rollback))
		for name, other := range map[string]*tamperLog{"the same entries under other keys": s.usurper, "another log": s.foreign} {
			c := whole(name, other.bundles[tamperSize]).saysIn(withOwnKey, verify.Verified)
			c.documented = true
			add(c)
		}
	})
}
