package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"os"

	"github.com/countersign-dev/countersign/ledger/verify"
)

const vkey = "example.com/log+1be7f00a+AduZX+JRadFByrm7upK6oB+fLh7OffTLKsBRkPN/zB+d"

func ExampleLog() {
	ctx := context.Background()
	src, closer, err := verify.OpenSource(ctx, "testdata/bundle")
	if err != nil {
		_ = verify.Failed(err).WriteText(os.Stdout)
		return
	}
	defer closer.Close()
	kept, err := os.ReadFile("testdata/kept.checkpoint")
	if err != nil {
		fmt.Println(err)
		return
	}
	report := verify.Log(ctx, src, verify.Options{Keys: []string{vkey}, Since: [][]byte{kept}})
	_ = report.WriteText(os.Stdout)
	// Output:
	// VERIFIED  example.com/log  4 entries
	// root:           Y5HDBf1buEk78ZWOIwpjX6ATsJ/MQppG/A0e1v/j2pk=
	// key:            example.com/log+1be7f00a+AduZX+JRadFByrm7upK6oB+fLh7OffTLKsBRkPN/zB+d
	//                 given: the checkpoint is signed by it
	// tier:           ANCHORED: the first 2 entries are those of the checkpoint you kept; later ones could have been
	//                 changed by whoever has the key until you keep a later one
	// anchored to:    2 entries
	// checked:        4 entries, 1 blob
}

func ExampleProof() {
	proof, err := os.ReadFile("testdata/entry-2.tlog-proof")
	if err != nil {
		fmt.Println(err)
		return
	}
	report := verify.Proof(context.Background(), proof, nil, verify.Options{Keys: []string{vkey}})
	fmt.Println(report.Code, *report.Index, report.Size)
	// Output: VERIFIED 2 4
}

// An approval is a rule that somebody has to have authorized something.
type approval struct{ authorized bool }

func (a *approval) Entry(_ uint64, leaf []byte) error {
	a.authorized = a.authorized || bytes.Contains(leaf, []byte(`"stage":"AUTHORIZED"`))
	return nil
}

func (a *approval) End() error {
	if !a.authorized {
		return fmt.Errorf("nobody has authorized anything")
	}
	return nil
}

func ExampleCheck() {
	ctx := context.Background()
	src, closer, err := verify.OpenSource(ctx, "testdata/bundle")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer closer.Close()
	report := verify.Log(ctx, src, verify.Options{Checks: []verify.Check{&approval{}}})
	fmt.Println(report.Verdict, report.Problem)
	// Output: INVALID nobody has authorized anything
}
