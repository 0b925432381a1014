package verify

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/witness"
)

// testWitness is the cosigner and the verifier key of a witness.
func testWitness(name string, seed byte) (note.Signer, string) {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string(rune('a'+seed)), 32)))
	now := func() time.Time { return time.Unix(1_767_323_045, 0) }
	return witness.NewCosigner(name, private, now), witness.VerifierKey(name, private.Public().(ed25519.PublicKey))
}

func parsePolicy(t *testing.T, lines ...string) *witness.Policy {
	t.Helper()
	p, err := witness.ParsePolicy([]byte(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWitnesses(t *testing.T) {
	l := sample(t)
	alice, aliceKey := testWitness("alice.example/w", 0)
	bob, bobKey := testWitness("bob.example/w", 1)
	eve, _ := testWitness("eve.example/w", 2)
	names := []string{"witness A " + aliceKey, "witness B " + bobKey, "group both 2 A B"}
	both := parsePolicy(t, append(names, "quorum both")...)
	one := parsePolicy(t, append([]string{"log " + l.keys[0].vkey}, append(names, "quorum A")...)...)
	none := parsePolicy(t, append(names, "quorum none")...)

	at400 := l.checkpoint(t, 400, l.keys[1], alice, bob)
	bad := slices.Clone(at400)
	bad[len(bad)-20] ^= 1
	plain := l.bundle(t)
	for _, test := range []struct {
		name     string
		bundle   mapSource
		policy   *witness.Policy
		code     Code // when witnesses are not required
		required Code
		to       uint64
		names    string
		text     string
	}{
		{"none there", plain, both, Verified, AnchorAbsent, 0, "", "cosignatures that the policy asks for"},
		{"quorum", plain.set(WitnessedPath, at400), both, Verified, Verified, 400, "A B", ""},
		{"quorum, and the log's key from the policy", plain.set(WitnessedPath, at400), one, Verified, Verified, 400, "A B", ""},
		{"no quorum", plain.set(WitnessedPath, l.checkpoint(t, 400, l.keys[1], alice)), both, Verified, AnchorAbsent, 0, "A", "cosignatures that the policy asks for"},
		{"others", plain.set(WitnessedPath, l.checkpoint(t, 400, l.keys[1], eve)), both, Verified, AnchorAbsent, 0, "", "cosignatures that the policy asks for"},
		{"on the checkpoint itself", plain.set("checkpoint", l.checkpoint(t, 600, l.keys[1], bob, alice)), both, Verified, Verified, 600, "A B", ""},
		{"no quorum on the newer", plain.set(WitnessedPath, at400).set("checkpoint", l.checkpoint(t, 600, l.keys[1], alice)), both, Verified, Verified, 400, "A B", ""},
		{"a policy that asks for none", plain.set(WitnessedPath, l.checkpoint(t, 400)), none, Verified, AnchorAbsent, 0, "", "cosignatures that the policy asks for"},
		{"cosigned, and a policy that asks for none", plain.set(WitnessedPath, at400), none, Verified, AnchorAbsent, 0, "A B", "cosignatures that the policy asks for"},
		{"bad cosignature", plain.set(WitnessedPath, bad), both, Tampered, Tampered, 0, "", "the cosignature of the witness B does not verify"},
		{"malformed", plain.set(WitnessedPath, []byte("x")), both, Tampered, Tampered, 0, "", "not a signed checkpoint"},
		{"not signed by the log", plain.set(WitnessedPath, l.checkpoint(t, 400, alice, bob)), both, Tampered, Tampered, 0, "", "not signed by a key of the log"},
		{"larger", plain.set(WitnessedPath, sample(t).fill(700).checkpoint(t, 700, l.keys[1], alice, bob)), both, Rollback, Rollback, 0, "", "fewer entries"},
		{"fork", plain.set(WitnessedPath, newTestLog(t).fill(600).checkpoint(t, 500, l.keys[1], alice, bob)), both, Rollback, Rollback, 0, "", "does not continue"},
	} {
		for _, required := range []bool{false, true} {
			want := test.code
			if required {
				want = test.required
			}
			r := Log(t.Context(), test.bundle, Options{Policy: test.policy, RequireWitness: required})
			if r.Code != want || r.WitnessedTo != test.to || r.Code != Tampered && r.Code != Rollback && strings.Join(r.Witnesses, " ") != test.names {
				t.Errorf("%s: %+v %v", test.name, r, r.Problem)
			}
			if stale := test.to > 0 && test.to < 600; stale != (len(r.Notes) == 1 && strings.Contains(r.Notes[0], "vouch for the first 400 entries of 600")) {
				t.Errorf("%s: notes %q", test.name, r.Notes)
			}
			if (r.Tier == Witnessed) != (test.to > 0) || r.Problem != nil && !strings.Contains(r.Problem.Text, test.text) {
				t.Errorf("%s: tier %q, %v", test.name, r.Tier, r.Problem)
			}
		}
	}
	if r := Log(t.Context(), plain.set(WitnessedPath, at400), Options{}); r.Code != Verified || r.Tier != Unanchored {
		t.Errorf("without a policy: %+v", r)
	}
	if r := Log(t.Context(), plain, Options{RequireWitness: true}); r.Code != Usage {
		t.Errorf("required without a policy: %+v", r)
	}
	if r := Log(t.Context(), plain, Options{Policy: one}); r.Code != Verified || r.OwnKey || r.Key != l.keys[1].vkey {
		t.Errorf("a key of the policy: %+v", r)
	}
	if r := Log(t.Context(), plain, Options{Policy: one, Keys: []string{newPair(t, testOrigin, 9).vkey}}); r.Code != Tampered || r.Signed {
		t.Errorf("a key of the policy beside a given one: %+v", r)
	}
}

func ExampleReport_WriteText() {
	r := Failed(&SourceError{Code: Usage, Text: "cannot open the bundle", Err: fmt.Errorf("no such directory")})
	if err := r.WriteText(exampleOutput{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// USAGE
	// first problem:  cannot open the bundle: no such directory
	// exit code:      2: this could not be verified as it was asked for
}

// exampleOutput prints to where examples are compared.
type exampleOutput struct{}

func (exampleOutput) Write(p []byte) (int, error) { return fmt.Print(string(p)) }
