//go:build slow

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/verify"
)

// textChanges edits a text byte by byte and line by line.
func textChanges(text []byte) iter.Seq[byteChange] {
	return func(yield func(byteChange) bool) {
		open := true
		change := func(operation, name string, parts ...[]byte) {
			data := slices.Concat(parts...)
			if open && !bytes.Equal(data, text) {
				open = yield(byteChange{operation: operation, name: name, data: append([]byte{}, data...), at: firstDifference(text, data)})
			}
		}
		for i := range text {
			change("delete", fmt.Sprintf("byte %d", i), text[:i], text[i+1:])
			change("duplicate", fmt.Sprintf("byte %d", i), text[:i+1], text[i:])
			change("truncate", fmt.Sprintf("at %d", i), text[:i])
			for _, by := range []string{" ", "\n", "\r", "A", "+", "\xff"} {
				change("edit", fmt.Sprintf("byte %d to %q", i, by), text[:i], []byte(by), text[i+1:])
			}
		}
		lines := slices.Collect(bytes.Lines(text))
		for i, line := range lines {
			before, after := slices.Concat(lines[:i]...), slices.Concat(lines[i+1:]...)
			named := func(what string) string { return fmt.Sprintf("%s line %d", what, i) }
			change("delete", named(""), before, after)
			change("duplicate", named(""), before, line, line, after)
			change("reorder", named("before all others,"), line, before, after)
			change("reorder", named("after all others,"), before, after, line)
			change("insert", named("an empty line before"), before, []byte("\n"), line, after)
			change("insert", named("a line before"), before, []byte("more\n"), line, after)
			change("insert", named("a space after"), before, bytes.TrimSuffix(line, []byte("\n")), []byte(" \n"), after)
			change("insert", named("a return after"), before, bytes.TrimSuffix(line, []byte("\n")), []byte("\r\n"), after)
		}
		change("insert", "a byte order mark", []byte("\xef\xbb\xbf"), text)
		change("insert", "a line at its end", text, []byte("more\n"))
		change("duplicate", "all of it", text, text)
	}
}

// checkpointCases edit the checkpoint as a text.
func (l *tamperLog) checkpointCases(size int) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		for b := range textChanges(l.checkpoints[size]) {
			add(altered(objectCheckpoint, b.operation, bundleFiles{verify.CheckpointPath: b.data}, "%s", b.name).
				saysIn(withOwnKey, verify.Tampered, verify.Incomplete, verify.Usage))
		}
		text, _, _ := strings.Cut(string(l.checkpoints[size]), "\n\n")
		lines := strings.Split(text, "\n")
		signatures := string(l.checkpoints[size][len(text)+1:])
		for _, number := range []string{
			"0", "1", "599", "601", "450", "0600", "+600", "-600", "600.0", "6e2", "0x258", "60 0", "", "٦٠٠",
			"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		} {
			edited := lines[0] + "\n" + number + "\n" + lines[2] + "\n" + signatures
			c := altered(objectCheckpoint, "edit", bundleFiles{verify.CheckpointPath: []byte(edited)}, "size %q", number)
			if number == "0" { // signed by a key of which the first entry, that there is none of, would lead
				c = c.says(verify.Tampered, verify.Incomplete)
			}
			add(c.saysIn(withOwnKey, verify.Tampered, verify.Incomplete))
		}
		for _, origin := range []string{"ledger.example/payment", "LEDGER.example/payments", "elsewhere.example/log", "ledger.example/payments ", strings.Repeat("x", 300)} {
			edited := origin + "\n" + lines[1] + "\n" + lines[2] + "\n" + signatures
			add(altered(objectCheckpoint, "edit", bundleFiles{verify.CheckpointPath: []byte(edited)}, "origin %q", origin).
				saysIn(withOwnKey, verify.Tampered))
		}
	})
}

// witnessedCases edit the witnessed checkpoint as a text.
func (l *tamperLog) witnessedCases(size int) iter.Seq[tamperCase] {
	f := l.file(size, verify.WitnessedPath)
	return generated(func(add func(tamperCase)) {
		for b := range textChanges(f.data) {
			c := f.other(altered(objectWitnessed, b.operation, bundleFiles{verify.WitnessedPath: b.data}, "%s", b.name), b.at, true)
			if b.operation == "reorder" && b.at >= f.cuts[len(f.cuts)-3] { // the order of signatures means nothing
				c = c.harmless().saysIn(withWitness, verify.Verified)
			}
			add(c)
		}
	})
}

// signatureCases sign checkpoints otherwise than they should be.
func (s *tamperScene) signatureCases(t *testing.T) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		signed := s.main.checkpoints[tamperSize]
		text, lines, _ := strings.Cut(string(signed), "\n\n")
		text += "\n"
		old, present := s.main.keys[0], s.main.keys[1]
		stranger, foreign := s.usurper.keys[1], s.foreign.keys[1]
		with := func(operation, name string, checkpoint []byte) tamperCase {
			return altered(objectSignature, operation, bundleFiles{verify.CheckpointPath: checkpoint}, "%s", name).
				saysIn(withOwnKey, verify.Tampered, verify.Usage)
		}
		lined := func(operation, name string, signatures ...string) tamperCase {
			return with(operation, name, []byte(text+"\n"+strings.Join(signatures, "")))
		}
		line := func(checkpoint []byte) string {
			_, after, _ := strings.Cut(string(checkpoint), "\n\n")
			return after
		}
		by := func(signers ...note.Signer) []byte { return signNote(t, text, signers...) }

		add(with("delete", "all of it", []byte(text+"\n")))
		add(with("delete", "all of it and the empty line", []byte(text)))
		for name, other := range map[string]note.Signer{
			"the replaced key": old, "another key of the same name": stranger, "the key of another log": foreign, "a witness": s.witness.Signer(),
		} {
			add(with("splice", "by "+name, by(other)))
			both := with("insert", "by "+name+" as well", by(other, present))
			add(both.harmless().saysIn(withOwnKey, verify.Verified))
		}
		for name, log := range map[string]*tamperLog{"a fork": s.fork, "the same entries under other keys": s.usurper, "another log": s.foreign} {
			add(lined("splice", "of the checkpoint of "+name, line(log.checkpoints[tamperSize])))
		}
		for _, size := range []int{340, olderSize, 550} {
			add(lined("splice", fmt.Sprintf("of the checkpoint of %d entries", size), line(s.main.checkpoints[size])))
			add(lined("duplicate", fmt.Sprintf("and that of the checkpoint of %d entries", size), lines, line(s.main.checkpoints[size])).
				saysInAll(verify.Tampered, verify.Verified)) // that of a key that no longer counts is ignored
		}
		add(lined("duplicate", "", lines, lines))
		add(lined("duplicate", "a hundred others", strings.Repeat(line(by(stranger)), 100), lines))
		fields := strings.Fields(strings.TrimSpace(lines))
		raw, err := base64.StdEncoding.DecodeString(fields[2])
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(raw) {
			flipped := bytes.Clone(raw)
			flipped[bit/8] ^= 1 << (bit % 8)
			add(lined("flip", fmt.Sprintf("bit %d", bit), fmt.Sprintf("— %s %s\n", fields[1], base64.StdEncoding.EncodeToString(flipped))))
		}
		for _, length := range []int{0, 1, 3, 4, 5, 36, 67, 69, 132} {
			other := append(bytes.Clone(raw), raw...)[:length]
			operation := "truncate"
			if length > len(raw) {
				operation = "duplicate"
			}
			add(lined(operation, fmt.Sprintf("to %d bytes", length), fmt.Sprintf("— %s %s\n", fields[1], base64.StdEncoding.EncodeToString(other))))
		}
		add(lined("zero", "", fmt.Sprintf("— %s %s\n", fields[1], base64.StdEncoding.EncodeToString(append(raw[:4:4], make([]byte, 64)...)))))
		empty := with("edit", "of an empty log, by the log's key", signNote(t, checkpointText(tamperOrigin, 0, [32]byte{}), old))
		add(empty.says(verify.Incomplete, verify.Tampered).saysIn(withOwnKey, verify.Incomplete, verify.Tampered))
	})
}

// saysInAll replaces the codes that are right in all modes.
func (c tamperCase) saysInAll(codes ...verify.Code) tamperCase {
	c.in = nil
	return c.says(codes...)
}

// keptCases alter the checkpoint that was kept, and the anchor.
func (s *tamperScene) keptCases(t *testing.T) iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		asked := func(object, operation, name string, ask func(o *verify.Options)) tamperCase {
			c := altered(object, operation, nil, "%s", name)
			c.only, c.ask = withKey, ask
			return c
		}
		since := func(operation, name string, kept []byte) tamperCase {
			return asked(objectKept, operation, name, func(o *verify.Options) { o.Since = [][]byte{kept} })
		}
		anchor := func(operation, name string, kept []byte) tamperCase {
			return asked(objectAnchor, operation, name, func(o *verify.Options) { o.Anchor = kept })
		}
		kept := s.main.checkpoints[olderSize]
		for _, changes := range []iter.Seq[byteChange]{textChanges(kept), byteChanges("kept", kept, nil)} {
			for b := range changes {
				add(since(b.operation, b.name, b.data).says(verify.Usage, verify.Rollback))
				add(anchor(b.operation, b.name, b.data).says(verify.Tampered, verify.Rollback))
			}
		}
		for name, kept := range map[string][]byte{
			"of a fork":             s.fork.checkpoints[olderSize],
			"of a fork of its size": s.fork.checkpoints[tamperSize],
			"of a longer log":       signNote(t, checkpointText(tamperOrigin, tamperSize+1, [32]byte{1}), s.main.keys[1]),
			"of its size":           signNote(t, checkpointText(tamperOrigin, tamperSize, [32]byte{1}), s.main.keys[1]),
		} {
			add(since("splice", name, kept).says(verify.Rollback))
			add(anchor("splice", name, kept).says(verify.Rollback))
		}
		for name, kept := range map[string][]byte{
			"of another log":                     s.foreign.checkpoints[olderSize],
			"under another key":                  s.usurper.checkpoints[olderSize],
			"signed by the replaced key":         signNote(t, headText(s.main.checkpoints[olderSize]), s.main.keys[0]),
			"signed by the key of later":         signNote(t, headText(s.main.checkpoints[340]), s.main.keys[1]),
			"unsigned":                           []byte(headText(kept) + "\n"),
			"of another log with this one's key": signNote(t, strings.Replace(headText(kept), tamperOrigin, "elsewhere.example/log", 1), s.main.keys[1]),
		} {
			add(since("splice", name, kept).says(verify.Usage))
			add(anchor("splice", name, kept).says(verify.Tampered))
		}
		add(since("delete", "", []byte{}).says(verify.Usage))
		add(anchor("delete", "its content", []byte{}))
		add(asked(objectAnchor, "delete", "which is required", func(o *verify.Options) { o.RequireAnchor = true }).says(verify.AnchorAbsent))
	})
}

// headText is the text of a signed checkpoint.
func headText(signed []byte) string {
	text, _, _ := strings.Cut(string(signed), "\n\n")
	return text + "\n"
}

// keyCases give another key to trust.
func (s *tamperScene) keyCases() iter.Seq[tamperCase] {
	return generated(func(add func(tamperCase)) {
		given := func(operation, name string, keys ...string) tamperCase {
			c := altered(objectKey, operation, nil, "%s", name)
			c.only, c.ask = withKey, func(o *verify.Options) { o.Keys = keys }
			return c.says(verify.Usage, verify.Tampered)
		}
		for _, k := range s.main.keys {
			for _, changes := range []iter.Seq[byteChange]{textChanges([]byte(k.vkey)), byteChanges("key", []byte(k.vkey), nil)} {
				for b := range changes {
					c := given(b.operation, b.name, string(b.data))
					if sameKey(string(b.data), k.vkey) {
						c = c.says(verify.Usage, verify.Tampered, verify.Verified)
					}
					add(c)
				}
			}
		}
		add(given("splice", "of another log", s.foreign.keys[0].vkey).says(verify.Tampered))
		add(given("splice", "another of the same name", s.usurper.keys[0].vkey).says(verify.Tampered))
		add(given("splice", "a witness's", s.witness.VerifierKey()).says(verify.Usage))
		add(given("splice", "the secret one", s.main.keys[0].secret).says(verify.Usage))
		add(given("splice", "the latest", s.main.keys[1].vkey).harmless())
		add(given("insert", "and another", s.main.keys[0].vkey, s.foreign.keys[0].vkey).harmless())
		add(given("delete", "", "").says(verify.Usage))
	})
}

// sameKey says whether a verifier key is another but for the ends of lines in
// it, which mean nothing in base64, and capital letters in its number.
func sameKey(a, b string) bool {
	a = strings.NewReplacer("\n", "", "\r", "").Replace(a)
	return len(a) == len(b) && strings.EqualFold(a[:len(a)-44], b[:len(b)-44]) && a[len(a)-44:] == b[len(b)-44:]
}
