package verify

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	formatsproof "github.com/transparency-dev/formats/proof"
)

// TestProofsOfAllEntries takes every entry of logs around the borders of tiles.
func TestProofsOfAllEntries(t *testing.T) {
	for _, size := range []int{1, 2, 3, 8, 255, 256, 257} {
		l := newTestLog(t).fill(size)
		for i := range size {
			r := Proof(t.Context(), []byte(l.proof(t, i)), nil, Options{Keys: []string{l.keys[0].vkey}})
			if r.Code != Verified || r.Size != uint64(size) || *r.Index != uint64(i) || r.Tier != Unanchored || r.Key != l.keys[0].vkey || !r.Signed {
				t.Fatalf("entry %d of %d: %+v %v", i, size, r, r.Problem)
			}
		}
	}
}

func TestProof(t *testing.T) {
	l := sample(t)
	sound := l.proof(t, 17)
	hashes := strings.Split(sound, "\n")
	replace := func(old, with string) string {
		if !strings.Contains(sound, old) {
			t.Fatalf("%q is not in the proof", old)
		}
		return strings.Replace(sound, old, with, 1)
	}
	extra := hashes[1]
	alice, aliceKey := testWitness("alice.example/w", 0)
	policy := parsePolicy(t, "log "+l.keys[1].vkey, "witness A "+aliceKey, "quorum A")
	cosigned := replace(string(l.checkpoint(t, 600)), string(l.checkpoint(t, 600, l.keys[1], alice)))
	stranger := newPair(t, testOrigin, 9)
	given := Options{Keys: []string{l.keys[1].vkey}}
	fork := &testLog{origin: l.origin, keys: l.keys, leaves: slices.Concat(l.leaves[:599], l.leaves[:1])}
	longest := newTestLog(t).add(`{"kind":"` + strings.Repeat("x", 65535-11) + `"}`)
	blobs := newTestLog(t).evidence("x", "y")
	rule := newTestLog(t).add("no JSON")
	for _, test := range []struct {
		name  string
		proof string
		entry string
		opt   Options
		code  Code
		tier  Tier
		text  string
	}{
		{"sound", sound, "", given, Verified, Unanchored, ""},
		{"entry given", replace(extra+"\n", ""), string(l.leaves[17]), given, Verified, Unanchored, ""},
		{"another entry given", sound, string(l.leaves[18]), given, Tampered, "", "do not give the root"},
		{"no entry", replace(extra+"\n", ""), "", given, Usage, "", "does not hold the entry itself"},
		{"no key", sound, "", Options{}, Usage, "", "only be verified with the log's verifier key"},
		{"malformed key", sound, "", Options{Keys: []string{"x"}}, Usage, "", "not the verifier key of a log"},
		{"key before", sound, "", Options{Keys: []string{l.keys[0].vkey}}, Tampered, "", "give the key that it had then"},
		{"strange key", sound, "", Options{Keys: []string{stranger.vkey}}, Tampered, "", "not signed by a key of the log"},
		{"key of another log", sound, "", Options{Keys: []string{newPair(t, "example.org/x", 0).vkey}}, Tampered, "", "this is the log example.com/log"},
		{"one of two keys", sound, "", Options{Keys: []string{stranger.vkey, l.keys[1].vkey}}, Verified, Unanchored, ""},
		{"other index", replace("index 17", "index 16"), "", given, Tampered, "", "do not give the root"},
		{"index beyond", replace("index 17", "index 600"), "", given, Tampered, "", "too few entries"},
		{"index with zeros", replace("index 17", "index 017"), "", given, Tampered, "", "malformed"},
		{"no index", replace("index 17\n", ""), "", given, Tampered, "", "should be its index"},
		{"hash absent", replace(hashes[3]+"\n", ""), "", given, Tampered, "", "does not fit"},
		{"hash twice", replace(hashes[3]+"\n", hashes[3]+"\n"+hashes[3]+"\n"), "", given, Tampered, "", "does not fit"},
		{"hash altered", replace(hashes[3][:4], "AAAA"), "", given, Tampered, "", "do not give the root"},
		{"hash malformed", replace(hashes[3], hashes[3]+"="), "", given, Tampered, "", "malformed"},
		{"too many hashes", replace(hashes[3], strings.Repeat(hashes[3]+"\n", 64)+hashes[3]), "", given, Tampered, "", "no proof needs more"},
		{"extra malformed", replace(extra, extra+"*"), "", given, Tampered, "", "canonical base64"},
		{"extra altered", replace(extra[:16], "extra e3sie3siAA"), "", given, Tampered, "", "do not give the root"},
		{"checkpoint altered", replace("\n600\n", "\n601\n"), "", given, Tampered, "", "does not verify"},
		{"checkpoint malformed", replace("\n600\n", "\n0600\n"), "", given, Tampered, "", "checkpoint in the proof is malformed"},
		{"checkpoint absent", sound[:strings.Index(sound, "\n\n")+2], "", given, Incomplete, "", "breaks off"},
		{"header only", "c2sp.org/tlog-proof@v1", "", given, Incomplete, "", "breaks off"},
		{"no proof", "hello\n", "", given, Usage, "", "this is not a proof"},
		{"nothing", "", "", given, Usage, "", "this is not a proof"},
		{"later version", replace("@v1", "@v2"), "", given, Usage, "", "does not know this kind"},
		{"huge", replace(extra, "extra "+strings.Repeat("AAAA", 1<<16)), "", given, Tampered, "", "at most"},
		{"carriage returns", strings.ReplaceAll(sound, "\n", "\r\n"), "", given, Usage, "", "kind of proof"},
		{"kept, the same", sound, "", Options{Keys: given.Keys, Since: [][]byte{l.checkpoint(t, 600)}}, Verified, Anchored, ""},
		{"kept, smaller", sound, "", Options{Keys: given.Keys, Since: [][]byte{l.checkpoint(t, 500)}}, AnchorAbsent, Unanchored, "nothing was compared"},
		{"kept, smaller and the same", sound, "", Options{Keys: given.Keys, Since: [][]byte{l.checkpoint(t, 500), l.checkpoint(t, 600)}}, Verified, Anchored, ""},
		{"kept, smaller, of a stranger", sound, "", Options{Keys: given.Keys, Since: [][]byte{l.checkpoint(t, 500, stranger)}}, Usage, "", "not signed by a key of the log"},
		{"kept, smaller, of the key before", sound, "", Options{Keys: []string{l.keys[0].vkey, l.keys[1].vkey}, Since: [][]byte{l.checkpoint(t, 200, l.keys[0])}}, AnchorAbsent, Unanchored, "nothing was compared"},
		{"kept, other root", sound, "", Options{Keys: given.Keys, Since: [][]byte{fork.checkpoint(t, 600)}}, Rollback, "", "contradicts"},
		{"kept, of a stranger", sound, "", Options{Keys: given.Keys, Since: [][]byte{l.checkpoint(t, 600, stranger)}}, Usage, "", "not signed by a key of the log"},
		{"kept, other log", sound, "", Options{Keys: given.Keys, Since: [][]byte{[]byte(specCheckpoint)}}, Usage, "", "another log"},
		{"kept, malformed", sound, "", Options{Keys: given.Keys, Since: [][]byte{[]byte("x")}}, Usage, "", "not a signed checkpoint"},
		{"witnessed", cosigned, "", Options{Policy: policy, RequireWitness: true}, Verified, Witnessed, ""},
		{"not witnessed", sound, "", Options{Policy: policy}, Verified, Unanchored, ""},
		{"not witnessed, required", sound, "", Options{Policy: policy, RequireWitness: true}, AnchorAbsent, Unanchored, "cosignatures"},
		{"required without a policy", sound, "", Options{Keys: given.Keys, RequireWitness: true}, Usage, "", "with a policy"},
		{"longest leaf", longest.proof(t, 1), "", Options{Keys: []string{longest.keys[0].vkey}}, Verified, Unanchored, ""},
		{"blobs", blobs.proof(t, 1), "", Options{Keys: []string{blobs.keys[0].vkey}}, Verified, Unanchored, ""},
		{"against a rule", rule.proof(t, 1), "", Options{Keys: []string{rule.keys[0].vkey}}, Invalid, Unanchored, "not a JSON object"},
	} {
		var entry []byte
		if test.entry != "" {
			entry = []byte(test.entry)
		}
		r := Proof(t.Context(), []byte(test.proof), entry, test.opt)
		if r.Code != test.code || r.Tier != test.tier || test.text != "" && (r.Problem == nil || !strings.Contains(r.Problem.Text, test.text)) {
			t.Errorf("%s: %+v %v", test.name, r, r.Problem)
		}
		if notes := len(r.Notes) > 0; notes != (test.opt.Since != nil && (test.code == AnchorAbsent || len(test.opt.Since) > 1) || test.name == "blobs") {
			t.Errorf("%s: notes %q", test.name, r.Notes)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Proof(ctx, []byte(sound), nil, given); r.Code != Internal {
		t.Errorf("interrupted: %+v", r)
	}
}

// TestEveryBitOfAProofCounts flips each bit, and cuts at each byte.
func TestEveryBitOfAProofCounts(t *testing.T) {
	l := newTestLog(t).fill(7)
	sound := []byte(l.proof(t, 3))
	opt := Options{Keys: []string{l.keys[0].vkey}}
	for i := range sound {
		for bit := range 8 {
			flipped := slices.Clone(sound)
			flipped[i] ^= 1 << bit
			if r := Proof(t.Context(), flipped, nil, opt); r.Code == Verified {
				t.Errorf("bit %d of byte %d", bit, i)
			}
		}
		if r := Proof(t.Context(), sound[:i], nil, opt); r.Code == Verified {
			t.Errorf("cut at %d", i)
		}
	}
}

// FuzzProof makes sure that what is accepted means the same to another
// implementation.
func FuzzProof(f *testing.F) {
	l := newTestLog(f).fill(7)
	for i := range 7 {
		f.Add([]byte(l.proof(f, i)))
	}
	f.Add([]byte("c2sp.org/tlog-proof@v1\nindex 0\n\nx"))
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nx\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		Proof(t.Context(), data, nil, Options{Keys: []string{l.keys[0].vkey}})
		p, err := parseProof(data)
		if err != nil {
			return
		}
		var theirs formatsproof.TLogProof
		if err := theirs.Unmarshal(data); err != nil {
			if len(data) < 60<<10 {
				t.Fatalf("%q is accepted by us and not by others: %v", data, err)
			}
			return
		}
		same := theirs.Index == p.index && len(theirs.Hashes) == len(p.path) && string(theirs.ExtraData) == string(p.extra)
		for i := range theirs.Hashes {
			same = same && string(theirs.Hashes[i][:]) == string(p.path[i])
		}
		if !same {
			t.Fatalf("%q is %+v to us and %+v to others", data, p, theirs)
		}
	})
}

// TestProofOfTheSpecification takes the example's form: its base64 is cut short
// there, so only the parts that are whole are compared.
func TestProofOfTheSpecification(t *testing.T) {
	const head = "c2sp.org/tlog-proof@v1\nextra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\nindex 73894\n" +
		"gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n\nexample.com/fancylog\n"
	p, err := parseProof([]byte(head))
	if err != nil || p.index != 73894 || string(p.extra) != "age-v1.2.1-darwin-arm64.tar.gz" || len(p.path) != 2 ||
		base64.StdEncoding.EncodeToString(p.path[1]) != "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=" || string(p.checkpoint) != "example.com/fancylog\n" {
		t.Errorf("%+v, %v", p, err)
	}
}
