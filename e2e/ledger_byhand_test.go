//go:build slow

package e2e

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// byHand checks a proof by the script in the documentation, and returns its
// exit code and what it prints.
func byHand(t *testing.T, proof []byte, vkey string) (code int, entry, said string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "entry.tlog-proof")
	if err := os.WriteFile(path, proof, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("../docs/check-entry.sh", path, vkey)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// line replaces the rest of the line of a proof that begins with a text.
func line(t *testing.T, proof []byte, beginning, rest string) []byte {
	t.Helper()
	lines := strings.Split(string(proof), "\n")
	for i := range lines {
		if strings.HasPrefix(lines[i], beginning) {
			lines[i] = beginning + rest
			return []byte(strings.Join(lines, "\n"))
		}
	}
	t.Fatalf("the proof has no line %q:\n%s", beginning, proof)
	return nil
}

// mustRun runs the binary and returns what it prints.
func mustRun(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("countersign %q: %v\n%s", args, err, &stderr)
	}
	return out
}

// TestEntriesByHand proves the entries of a real ledger by openssl and
// sha256sum.
func TestEntriesByHand(t *testing.T) {
	const runs, size = 6, 14
	upstream, data := startUpstream(t), filepath.Join(t.TempDir(), "data")
	for i := range uint64(runs) { // its start and its end are an entry each, and its first policy is one
		s := startSidecar(t, upstream, "--data", data)
		s.awaitLedger(t, "open", 2*i+3)
		s.stopWell(t)
	}
	bundle := filepath.Join(t.TempDir(), "bundle")
	mustRun(t, "ledger", "export", "--store", data, bundle)
	vkey := strings.TrimSpace(string(mustRun(t, "ledger", "key", "--data", data)))
	entries := strings.Split(strings.TrimSpace(string(mustRun(t, "ledger", "show", bundle, "--json"))), "\n")
	if len(entries) != size {
		t.Fatalf("the ledger has %d entries", len(entries))
	}
	var proofs [size][]byte
	for i := range proofs {
		proofs[i] = mustRun(t, "ledger", "prove", bundle, "--index", fmt.Sprint(i))
		code, entry, said := byHand(t, proofs[i], vkey)
		if want := fmt.Sprintf(`{"index":%d,"leaf":%s}`, i, strings.TrimSpace(entry)); code != 0 || want != entries[i] {
			t.Errorf("entry %d: exit code %d\n%s%s", i, code, entry, said)
		}
		if want := fmt.Sprintf("PROVEN: entry %d of %d in ", i, size); !strings.HasPrefix(said, want) {
			t.Errorf("entry %d: %s", i, said)
		}
	}

	proof := proofs[10]
	_, leaf, _ := byHand(t, proof, vkey)
	edited := strings.Replace(strings.TrimSpace(leaf), "sidecar.started", "sidecar.stopped", 1)
	head, checkpoint, _ := bytes.Cut(proof, []byte("\n\n"))
	root := strings.Split(string(checkpoint), "\n")[2]
	refused := map[string][]byte{
		"an edited entry": line(t, proof, "extra ", base64.StdEncoding.EncodeToString([]byte(edited))),
		"an edited root":  line(t, proof, root[:4], base64.StdEncoding.EncodeToString(make([]byte, 32))[4:]),
		"a short path":    append(head[:bytes.LastIndexByte(head, '\n'):bytes.LastIndexByte(head, '\n')], "\n\n"+string(checkpoint)...),
		"no index":        bytes.Replace(proof, []byte("\nindex 10\n"), []byte("\n"), 1),
	}
	for _, index := range []string{"9", "11", "13", "14", "012", "010", "0xa", "-1", "+10", " 10", "10 ", "", "n", "99999999999999999999"} {
		refused["the index "+index] = line(t, proof, "index ", index)
	}
	for what, proof := range refused {
		if code, entry, said := byHand(t, proof, vkey); code != 1 || entry != "" {
			t.Errorf("%s: exit code %d\n%s%s", what, code, entry, said)
		}
	}
	other := startSidecar(t, upstream)
	foreign := other.awaitLedger(t, "open", 3).Key
	if foreign == vkey {
		t.Fatal("two ledgers have one key")
	}
	if code, entry, said := byHand(t, proof, foreign); code != 1 || entry != "" {
		t.Errorf("a foreign key: exit code %d\n%s%s", code, entry, said)
	}
}
