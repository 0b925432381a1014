package witness_test

import (
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/witness"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

// A checkpoint counts when two of three witnesses have cosigned it.
func ExamplePolicy_Satisfied() {
	north := witnesstest.New("north.example", time.Now)
	policy, err := witness.ParsePolicy([]byte(
		"witness North " + north.VerifierKey() + "\n" +
			"witness East  " + witnesstest.New("east.example", time.Now).VerifierKey() + "\n" +
			"witness South " + witnesstest.New("south.example", time.Now).VerifierKey() + "\n" +
			"group most 2 North East South\n" +
			"quorum most\n"))
	if err != nil {
		panic(err)
	}
	checkpoint, err := note.Sign(
		&note.Note{Text: "example.com/log\n1\nn4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=\n"},
		north.Signer())
	if err != nil {
		panic(err)
	}
	fmt.Println(policy.Satisfied(checkpoint))
	// Output: [North] false
}
