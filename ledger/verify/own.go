package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const rotationHeader = "countersign-ledger/key-rotation/v1"

// Members of the ledger's own entries, all of which they have and no others.
var (
	createdMembers = []string{"v", "kind", "time", "format", "origin", "vkey"}
	rotatedMembers = []string{"v", "kind", "time", "statement"}
)

// ownMembers reads one of the ledger's own entries of version 1: exactly the
// given members, strings all but the version. The leaf has been found valid.
func ownMembers(leaf []byte, names []string) (map[string]string, error) {
	members := map[string]string{}
	var s scanner
	s.reset(leaf)
	err := s.object(func(name token) error {
		member := string(name.bytes())
		if !slices.Contains(names, member) {
			return fmt.Errorf("it has a member %.60q", member)
		}
		if member != "v" {
			value, err := s.str()
			members[member] = string(value.bytes())
			return err
		}
		s.space()
		start := s.pos
		err := s.value()
		members[member] = string(leaf[start:s.pos])
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, ok := members[name]; !ok {
			return nil, fmt.Errorf("it has no member %q", name)
		}
	}
	if members["v"] != "1" {
		return nil, fmt.Errorf("its version is %.20s, not 1", members["v"])
	}
	return members, nil
}

// own takes in one of the ledger's own entries, which are those whose kind
// begins with "ledger.", and entry 0 whatever it is. Its leaf has been found
// valid, and is in the tree at index.
func (r *keyring) own(index uint64, kind string, leaf []byte) *failure {
	switch {
	case index == 0 && kind == createdKind:
		return r.created(leaf)
	case index == 0:
		f := fail(Invalid, "", "this is not a Countersign log")
		f.Expected, f.Found = `an entry of kind "`+createdKind+`"`, fmt.Sprintf("kind %.60q", kind)
		return f.at(0)
	case kind == rotatedKind && len(r.chain) > 0:
		if err := r.rotated(index, leaf); err != nil {
			r.refused = fmt.Sprintf("the change of the key in entry %d does not count: %s", index, err)
			return fail(Invalid, "", "it does not change the log's key: %s", err).at(index)
		}
		return nil
	default:
		return fail(Invalid, "", "the kind %.60q is the ledger's own and cannot be here", kind).at(index)
	}
}

// created takes in entry 0.
func (r *keyring) created(leaf []byte) *failure {
	k, origin, f := parseCreated(leaf)
	if f != nil {
		return f.at(0)
	}
	if origin != r.origin || k.Name() != r.origin {
		f := fail(Tampered, "", "the log names itself otherwise than its checkpoint does")
		f.Expected, f.Found = r.origin, origin
		if origin == r.origin {
			f.Found = "a key of " + k.Name()
		}
		return f.at(0)
	}
	r.chain = []link{{key: k}}
	return nil
}

// parseCreated reads entry 0.
func parseCreated(leaf []byte) (k key, origin string, f *failure) {
	if format := formatOf(leaf); format != "" && format+"\n" != Format {
		return key{}, "", newerFormat("", format)
	}
	e, err := ownMembers(leaf, createdMembers)
	if err == nil {
		k, err = parseKey(e["vkey"])
	}
	if err != nil {
		return key{}, "", fail(Invalid, "", "it is not as entry 0 of a Countersign log must be: %s", err)
	}
	return k, e["origin"], nil
}

// formatOf is the format that entry 0 of some version names.
func formatOf(leaf []byte) string {
	var e struct {
		Format string `json:"format"`
	}
	if json.Unmarshal(leaf, &e) != nil {
		return ""
	}
	return e.Format
}

// newerFormat says that something has a format that this version does not read.
func newerFormat(resource, format string) *failure {
	f := fail(Usage, resource, "this version of countersign does not know the format %.60q, and it knows %q", strings.TrimSpace(format), strings.TrimSpace(Format))
	return f
}

// rotated takes in an entry that replaces the log's key.
func (r *keyring) rotated(index uint64, leaf []byte) error {
	e, err := ownMembers(leaf, rotatedMembers)
	if err != nil {
		return err
	}
	statement := []byte(e["statement"])
	text, _, err := splitNote(statement)
	if err != nil {
		return fmt.Errorf("its statement is malformed: %w", err)
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 6 || lines[5] != "" || lines[0] != rotationHeader {
		return fmt.Errorf("its statement has not the five lines of %s", rotationHeader)
	}
	old := r.chain[len(r.chain)-1]
	switch {
	case lines[1] != r.origin:
		return fmt.Errorf("its statement is of the log %.80q", lines[1])
	case lines[2] != strconv.FormatUint(index, 10):
		return fmt.Errorf("its statement is of entry %.20q", lines[2])
	case lines[3] != old.vkey:
		return errors.New("its statement replaces a key that is not the log's at this entry")
	}
	next, err := parseKey(lines[4])
	switch {
	case err != nil:
		return err
	case next.Name() != r.origin:
		return fmt.Errorf("the new key belongs to %s", next.Name())
	case next.same(old.key):
		return errors.New("its statement replaces the key by itself")
	}
	for _, k := range []key{old.key, next} {
		if signedBy(statement, k) != signed {
			return fmt.Errorf("its statement is not signed by %s", k.id())
		}
	}
	r.chain = append(r.chain, link{key: next, entry: index})
	return nil
}
