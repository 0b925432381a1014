package witness

import "golang.org/x/mod/sumdb/note"

// Policy says which logs are known, which witnesses count, and how many of
// them must have cosigned a checkpoint (https://c2sp.org/tlog-policy). Make
// one with [ParsePolicy]. It is safe for concurrent use as long as nobody
// changes its fields.
type Policy struct {
	Logs      []Log
	Witnesses []Witness
	Quorum    string // the witness or group that must have cosigned, or NoQuorum

	groups []group // in order of definition: members come before their group
	keys   []note.Verifier
}

// Log is a log that the policy accepts. Its key's name is the log's origin.
type Log struct{ VKey string }

// Witness is a witness under the name that the policy gives it.
type Witness struct {
	Name string
	VKey string
	URL  string // the submission prefix; empty when the policy gives none
}

type group struct {
	name    string
	least   int
	members []string
}

// NoQuorum is the quorum that takes no witness: every checkpoint has it, and
// nobody vouches for it.
const NoQuorum = "none"

// Satisfied says which of the policy's witnesses have a valid cosignature on
// a signed checkpoint, by the policy's names for them and in its order, and
// whether they make up the quorum. It does not look at the log's own
// signature.
func (p *Policy) Satisfied(checkpoint []byte) (names []string, ok bool) {
	names, _, err := p.Cosignatures(checkpoint)
	return names, err == nil && p.Quorate(names)
}

// Cosignatures says which of the policy's witnesses have a valid cosignature
// on a signed checkpoint, and which have only such as do not verify, by the
// policy's names for them. A checkpoint that is not a signed note is an error.
func (p *Policy) Cosignatures(checkpoint []byte) (valid, invalid []string, err error) {
	text, signatures, err := openNote(checkpoint)
	if err != nil {
		return nil, nil, err
	}
	for i, v := range p.keys {
		found, verifies := false, false
		for _, s := range signatures {
			if s.Name == v.Name() && s.Hash == v.KeyHash() {
				found = true
				verifies = verifies || v.Verify([]byte(text), signatureBytes(s))
			}
		}
		switch {
		case verifies:
			valid = append(valid, p.Witnesses[i].Name)
		case found:
			invalid = append(invalid, p.Witnesses[i].Name)
		}
	}
	return valid, invalid, nil
}

// Quorate says whether the witnesses called names, by the policy's names, make
// up the quorum.
func (p *Policy) Quorate(names []string) bool {
	have := map[string]bool{NoQuorum: true}
	for _, name := range names {
		have[name] = true
	}
	for _, g := range p.groups {
		n := 0
		for _, m := range g.members {
			if have[m] {
				n++
			}
		}
		have[g.name] = n >= g.least
	}
	return have[p.Quorum]
}
