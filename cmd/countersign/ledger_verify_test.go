package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/countersign-dev/countersign/ledger/bundle"
	"github.com/countersign-dev/countersign/ledger/logtest"
	"github.com/countersign-dev/countersign/ledger/verify"
	"github.com/countersign-dev/countersign/ledger/witness/witnesstest"
)

func TestWitnessesAreCounted(t *testing.T) {
	north, south := witnesstest.New("north.example", time.Now), witnesstest.New("south.example", time.Now)
	l := logtest.New(t, "log")
	l.GrowTo(300, "entry")
	l.Witness(north.Signer())
	l.GrowTo(400, "entry")
	temp := t.TempDir()
	dir := filepath.Join(temp, "bundle")
	if _, err := bundle.Export(t.Context(), l, dir, nil); err != nil {
		t.Fatal(err)
	}
	for quorum, want := range map[string]verify.Code{
		"any North South": verify.Verified,
		"all North South": verify.AnchorAbsent,
	} {
		policy := filepath.Join(temp, "policy")
		text := fmt.Sprintf("witness North %s\nwitness South %s\ngroup both %s\nquorum both\n", north.VerifierKey(), south.VerifierKey(), quorum)
		if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		code := execute([]string{"countersign", "ledger", "verify", dir, "--vkey", l.VKey(), "--policy", policy, "--require-witness"}, &stdout, &stderr)
		if code != int(want) || stderr.Len() > 0 {
			t.Errorf("%s: %d\n%s%s", quorum, code, &stdout, &stderr)
		}
		if tier := strings.Contains(stdout.String(), "WITNESSED: "); tier != (want == verify.Verified) {
			t.Errorf("%s:\n%s", quorum, &stdout)
		}
	}
}

func TestTheWitnessedCheckpointBesideTheAnchorCounts(t *testing.T) {
	data := newData(t, 10)
	anchor := filepath.Join(data, anchorName)
	signed, err := os.ReadFile(filepath.Join(anchor, verify.CheckpointPath))
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(signed), "\n\n")
	witness := witnesstest.New("w.example", time.Now)
	cosigned, err := note.Sign(&note.Note{Text: text + "\n"}, witness.Signer())
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimPrefix(string(cosigned), text+"\n\n")
	policy := filepath.Join(data, "policy")
	for path, content := range map[string]string{
		filepath.Join(anchor, verify.WitnessedPath): string(signed) + line,
		policy: "witness W " + witness.VerifierKey() + "\nquorum W\n",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := command(t, "ledger", "verify", "--store", data, "--policy", policy, "--require-witness")
	if code != 0 || !strings.Contains(stdout, "WITNESSED: ") || stderr != "" {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
	elsewhere := filepath.Join(t.TempDir(), "anchor")
	if err := os.Rename(anchor, elsewhere); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{elsewhere, filepath.Join(elsewhere, verify.CheckpointPath)} {
		if code, stdout, _ := command(t, "ledger", "verify", "--store", data, "--anchor", named, "--policy", policy, "--require-witness"); code != 0 {
			t.Errorf("%s: %d\n%s", named, code, stdout)
		}
	}
}
