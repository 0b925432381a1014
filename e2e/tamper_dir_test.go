//go:build slow

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// inTurn makes some changes of a directory, one after the other.
func inTurn(changes ...func(dir string) error) func(dir string) error {
	return func(dir string) error {
		for _, change := range changes {
			if err := change(dir); err != nil {
				return err
			}
		}
		return nil
	}
}

// writeFile writes a file of a data directory, or removes it.
func writeFile(name string, content []byte) func(data string) error {
	return func(data string) error { return bundleFiles{name: content}.apply(data) }
}

// partOf replaces a part of a data directory by that of another.
func partOf(other *dirImage, name string) func(data string) error {
	return func(data string) error {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			return err
		}
		for _, dir := range sortedKeys(other.dirs) {
			if dir == name || strings.HasPrefix(dir, name+"/") {
				if err := os.MkdirAll(filepath.Join(data, dir), 0o700); err != nil {
					return err
				}
			}
		}
		for _, file := range sortedKeys(other.files) {
			if file == name || strings.HasPrefix(file, name+"/") {
				if err := other.files[file].write(filepath.Join(data, file)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// restoreCases put parts of a data directory, and all of it, back to an earlier
// state, or in the place of another log's.
func (s *tamperScene) restoreCases() iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		now := s.main.closed[tamperSize]
		for _, state := range []string{"closed", "crashed"} {
			images := func(l *tamperLog) map[int]*dirImage {
				if state == "closed" {
					return l.closed
				}
				return l.crashed
			}
			name := func(text string, args ...any) string { return fmt.Sprintf(text, args...) + ", " + state }
			for _, size := range []int{340, olderSize, 550} {
				older := images(s.main)[size]
				whole := stored(older, objectDirectory, "restore", nil, "%s", name("all of it, of %d entries", size)).undetectable().opens(opened)
				if size > 340 {
					whole = whole.saysIn(withOldest, verify.Verified)
				}
				add(whole)
				anchored := stored(older, objectDirectory, "restore", func(data string) error {
					return bundleFiles{"checkpoint": s.main.checkpoints[tamperSize]}.apply(filepath.Join(filepath.Dir(data), "elsewhere"))
				}, "%s", name("all of it, of %d entries, with the anchor elsewhere", size)).rolledBack()
				anchored.store.anchor = "elsewhere"
				add(anchored)
				add(stored(now, objectDirectory, "restore", partOf(older, "store"), "%s", name("the store, of %d entries", size)).rolledBack())
				behind := stored(now, objectAnchor, "restore", partOf(older, "anchor/checkpoint"), "%s", name("that of %d entries", size))
				add(behind.harmless().opens(opened)) // what a loss of power leaves
			}
			for i, leaf := range map[int][]byte{448: s.foreign.leaves[448], olderSize: s.foreign.leaves[olderSize], 598: s.foreign.leaves[598]} {
				// What a loss of power leaves must be what the log's key has signed.
				add(stored(images(s.main)[tamperSize], objectAnchor, "restore", inTurn(partOf(now, "anchor"), partOf(s.main.closed[olderSize], "anchor/checkpoint"),
					editRows(func(e *rowEditor) { e.set(leafRow(i), leafValue(leaf)) })), "%s", name("that of 450 entries, and entry %d altered", i)))
			}
			fork := images(s.fork)
			add(stored(fork[tamperSize], objectDirectory, "splice", nil, "%s", name("all of a fork")).undetectable().opens(opened).saysIn(withOldest, verify.Rollback))
			add(stored(now, objectDirectory, "splice", partOf(fork[tamperSize], "store"), "%s", name("the store of a fork")).rolledBack())
			add(stored(now, objectDirectory, "splice", partOf(fork[olderSize], "store"), "%s", name("the store of a shorter fork")).rolledBack())
			add(stored(now, objectDirectory, "splice", partOf(images(s.usurper)[tamperSize], "store"), "%s", name("the store under other keys")))
			add(stored(now, objectDirectory, "splice", partOf(images(s.foreign)[tamperSize], "store"), "%s", name("the store of another log")))
			add(stored(images(s.usurper)[tamperSize], objectDirectory, "splice", nil, "%s", name("all of the same entries under other keys")).openable())
			add(stored(images(s.foreign)[tamperSize], objectDirectory, "splice", nil, "%s", name("all of another log")).openable())
		}
		for name, spoil := range map[string]func(string) error{
			"the store": func(data string) error { return os.RemoveAll(filepath.Join(data, "store")) },
			"what is in the store": func(data string) error {
				return inTurn(func(data string) error { return os.RemoveAll(filepath.Join(data, "store")) },
					func(data string) error { return os.Mkdir(filepath.Join(data, "store"), 0o700) })(data)
			},
		} {
			add(stored(now, objectDirectory, "delete", spoil, "%s", name).says(verify.Incomplete, verify.Tampered, verify.Rollback))
		}
		add(stored(now, objectDirectory, "delete", func(data string) error {
			return inTurn(func(data string) error { return os.RemoveAll(filepath.Join(data, "store")) },
				func(data string) error { return os.RemoveAll(filepath.Join(data, "anchor")) })(data)
		}, "store and anchor").says(verify.Usage, verify.Incomplete))
		add(stored(now, objectDirectory, "duplicate", func(data string) error { return now.write(filepath.Join(data, "store", "data")) }, "in itself").
			says(verify.Tampered, verify.Usage, verify.Incomplete))
	})
}

// openable is a log that is sound, if another one than was asked for.
func (c tamperCase) openable() tamperCase {
	c.documented = true
	return c.opens(opened)
}

// anchorCases alter the anchor.
func (s *tamperScene) anchorCases(t *testing.T) iter.Seq[tamperCase] {
	base := s.main.closed[tamperSize]
	anchor := s.main.checkpoints[tamperSize]
	return generated(func(add func(tamperCase)) {
		written := func(operation, name string, content []byte) tamperCase {
			return stored(base, objectAnchor, operation, writeFile("anchor/checkpoint", content), "%s", name)
		}
		add(written("delete", "its file", nil).says(verify.AnchorAbsent))
		add(stored(base, objectAnchor, "delete", func(data string) error { return os.RemoveAll(filepath.Join(data, "anchor")) }, "its directory").says(verify.AnchorAbsent))
		add(stored(base, objectAnchor, "replace", inTurn(writeFile("anchor/checkpoint", nil), func(data string) error {
			return os.Mkdir(filepath.Join(data, "anchor", "checkpoint"), 0o700)
		}), "by a directory").says(verify.Tampered, verify.Usage, verify.AnchorAbsent))
		n := 0
		for b := range textChanges(anchor) {
			n++
			add(s.anchorEdit(written(b.operation, b.name, b.data), anchor, b.data, n%97 == 0))
		}
		for b := range byteChanges("anchor", anchor, lineCuts(anchor)) {
			n++
			add(s.anchorEdit(written(b.operation, b.name, b.data), anchor, b.data, n%97 == 0))
		}
		for name, other := range map[string][]byte{"of a fork": s.fork.checkpoints[tamperSize], "of a shorter fork": s.fork.checkpoints[olderSize]} {
			add(written("splice", name, other).rolledBack())
		}
		add(written("splice", "of an entry more", signNote(t, checkpointText(tamperOrigin, tamperSize+1, [32]byte{1}), s.main.keys[1])).rolledBack())
		for name, other := range map[string][]byte{
			"under other keys":           s.usurper.checkpoints[tamperSize],
			"of another log":             s.foreign.checkpoints[tamperSize],
			"signed by the replaced key": signNote(t, headText(anchor), s.main.keys[0]),
			"unsigned":                   []byte(headText(anchor) + "\n"),
		} {
			add(written("splice", name, other))
		}
		add(written("insert", "a cosignature", s.main.bundles[tamperSize][verify.WitnessedPath]).harmless().opens(opened)) // it is an older one
		s.witnessedFileCases(base, add)
	})
}

// anchorEdit says what an edit of the anchor means. The ledger reads signatures
// less strictly than the verifier: what it reads must be the same then.
func (s *tamperScene) anchorEdit(c tamperCase, was, is []byte, command bool) tamperCase {
	if sameNote(was, is) {
		c = c.says(verify.Tampered, verify.Verified).opens(either)
	}
	return c.openOnly(!command)
}

// sameNote says whether two notes have the same text, and the same bytes as
// signatures, each once.
func sameNote(a, b []byte) bool {
	textA, linesA, _ := strings.Cut(string(a), "\n\n")
	textB, linesB, _ := strings.Cut(string(b), "\n\n")
	decoded := func(lines string) []byte {
		var all []byte
		for _, line := range slices.Compact(slices.Collect(strings.Lines(lines))) {
			fields := strings.Fields(line)
			if len(fields) != 3 || strings.HasSuffix(line, "  \n") {
				return []byte(lines)
			}
			raw, err := base64.StdEncoding.DecodeString(fields[2])
			if err != nil {
				return []byte(lines)
			}
			all = append(append(all, fields[1]...), raw...)
		}
		return all
	}
	return textA == textB && bytes.Equal(decoded(linesA), decoded(linesB))
}

// witnessedFileCases alter the witnessed checkpoint beside the anchor.
func (s *tamperScene) witnessedFileCases(base *dirImage, add func(tamperCase)) {
	was := s.main.bundles[tamperSize][verify.WitnessedPath]
	written := func(operation, name string, content []byte) tamperCase {
		return stored(base, objectWitnessed, operation, writeFile("anchor/checkpoint.witnessed", content), "%s", name)
	}
	add(written("delete", "", nil).harmless().opens(opened))
	add(written("truncate", "to nothing", []byte{}))
	add(written("truncate", "by a byte", was[:len(was)-1]))
	for _, bit := range chosenBits("witnessed", len(was), 0, 0) {
		flipped := bytes.Clone(was)
		flipped[bit/8] ^= 1 << (bit % 8)
		c := written("flip", fmt.Sprintf("bit %d", bit), flipped)
		if bit/8 >= lineCuts(was)[4] { // a cosignature, which nobody can check who does not know the witness
			c = c.says(verify.Tampered, verify.Verified).opens(either)
		}
		add(s.anchorEdit(c, was, flipped, bit%5 == 0))
	}
	for name, other := range map[string]*tamperLog{"of a fork": s.fork, "of another log": s.foreign, "under other keys": s.usurper} {
		add(written("splice", name, other.checkpoints[550]).says(verify.Tampered, verify.Rollback))
	}
	add(written("splice", "the anchor", s.main.checkpoints[tamperSize]).harmless().opens(opened))
}

// keyFileCases alter the key file, which verifications do not need.
func (s *tamperScene) keyFileCases() iter.Seq[tamperCase] {
	base := s.main.closed[tamperSize]
	return generated(func(add func(tamperCase)) {
		n := 0
		written := func(operation, name string, content []byte) tamperCase {
			n++
			return stored(base, objectKey, operation, writeFile("ledger.key", content), "%s", name).says(verify.Verified).openOnly(n%50 != 1)
		}
		key := []byte(s.main.keys[1].secret + "\n")
		add(written("delete", "its file", nil))
		for b := range bitFlips("key", key) {
			c := written(b.operation, b.name, b.data)
			if strings.EqualFold(string(b.data[:len(key)-45]), string(key[:len(key)-45])) { // its number may have capital letters
				c = c.opens(either)
			}
			add(c)
		}
		for at := range len(key) - 1 {
			add(written("truncate", fmt.Sprintf("at %d", at), key[:at:at]))
		}
		add(written("truncate", "by its newline", key[:len(key)-1]).opens(opened))
		add(written("insert", "a byte at its end", append(bytes.Clone(key), 'x')))
		add(written("duplicate", "", append(bytes.Clone(key), key...)))
		add(written("zero", "", make([]byte, len(key))))
		add(written("restore", "the replaced key", []byte(s.main.keys[0].secret+"\n")))
		add(written("splice", "that of another log", []byte(s.foreign.keys[1].secret+"\n")))
		add(written("splice", "another of the same name", []byte(s.usurper.keys[1].secret+"\n")))
		add(written("splice", "the verifier key", []byte(s.main.keys[1].vkey+"\n")))
		add(stored(base, objectKey, "edit", func(data string) error { return os.Chmod(filepath.Join(data, "ledger.key"), 0o644) }, "its mode").says(verify.Verified))
		for name, next := range map[string][]byte{"garbage": []byte("x"), "the same key": key, "another key": []byte(s.usurper.keys[1].secret + "\n")} {
			add(stored(base, objectKey, "insert", writeFile("ledger.key.next", next), "%s as the next one", name).harmless().opens(opened))
		}
	})
}
