package verify

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reports in testdata anew")

// TestReports compares what readers and machines get with testdata.
func TestReports(t *testing.T) {
	l := sample(t)
	m := l.bundle(t)
	keys := []string{l.keys[1].vkey}
	alice, aliceKey := testWitness("alice.example/w", 0)
	policy := parsePolicy(t, "witness A "+aliceKey, "quorum A")
	altered := slices.Clone(m["tile/entries/001"])
	altered[20000] ^= 1
	edge := slices.Clone(m["tile/0/002.p/88"])
	edge[5] ^= 1
	retired := l.checkpoint(t, 600, l.keys[0])
	twice := newTestLog(t).fill(300).add(object("kind", "a", "once", "key-17"))
	fork := newTestLog(t).fill(700)
	for name, r := range map[string]*Report{
		"verified":       Log(t.Context(), m, Options{Keys: keys}),
		"own-key":        Log(t.Context(), m, Options{}),
		"first-key":      Log(t.Context(), m, Options{Keys: []string{l.keys[0].vkey}}),
		"anchored":       Log(t.Context(), m, Options{Keys: keys, Since: [][]byte{l.checkpoint(t, 400)}}),
		"witnessed":      Log(t.Context(), m.set(WitnessedPath, l.checkpoint(t, 500, l.keys[1], alice)), Options{Keys: keys, Policy: policy}),
		"single":         Log(t.Context(), newTestLog(t).bundle(t), Options{}),
		"altered-entry":  Log(t.Context(), m.set("tile/entries/001", altered), Options{Keys: keys}),
		"damaged-edge":   Log(t.Context(), m.set("tile/0/002.p/88", edge), Options{Keys: keys}),
		"absent-entries": Log(t.Context(), m.without("tile/entries/001"), Options{Keys: keys}),
		"extra-file":     Log(t.Context(), m.set("tile/9/000", nil), Options{Keys: keys}),
		"retired-key":    Log(t.Context(), m.set("checkpoint", retired), Options{}),
		"rollback":       Log(t.Context(), m, Options{Keys: keys, Since: [][]byte{l.fill(601).checkpoint(t, 601)}}),
		"fork":           Log(t.Context(), newTestLog(t).fill(700).rotate(t, 3).bundle(t), Options{Since: [][]byte{newTestLog(t).evidence("x").fill(500).checkpoint(t, 500)}}),
		"once-twice":     Log(t.Context(), twice.bundle(t), Options{}),
		"not-witnessed":  Log(t.Context(), fork.bundle(t), Options{Policy: policy, RequireWitness: true}),
		"newer":          Log(t.Context(), m.set(FormatPath, []byte("countersign-ledger/2\n")), Options{}),
		"proof":          Proof(t.Context(), []byte(fork.proof(t, 17)), nil, Options{Keys: []string{fork.keys[0].vkey}}),
		"proof-altered":  Proof(t.Context(), []byte(fork.proof(t, 17)), []byte("x"), Options{Keys: []string{fork.keys[0].vkey}}),
	} {
		var text strings.Builder
		if err := r.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		compareFile(t, name+".txt", text.String())
		data, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		compareFile(t, name+".json", string(data)+"\n")
	}
}

func compareFile(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "reports", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s\ninstead of\n%s", name, got, want)
	}
}

// TestTextObeysNobody has a file whose name would clear the terminal.
func TestTextObeysNobody(t *testing.T) {
	r := Log(t.Context(), newTestLog(t).bundle(t).set("x\x1b[2J\u009b\u202ey\nz", nil), Options{})
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if s := text.String(); !strings.Contains(s, "x\ufffd[2J\ufffd\ufffdy\ufffdz: the file does not belong") || strings.ContainsAny(s, "\x1b\u009b\u202e") {
		t.Errorf("%q", s)
	}
}

func TestCounts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1234567: "1,234,567"} {
		if got := count(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

func TestCodes(t *testing.T) {
	want := []string{"VERIFIED", "TAMPERED", "USAGE", "INCOMPLETE", "ROLLBACK", "INVALID", "ANCHOR_ABSENT", "INTERNAL"}
	for i, word := range want {
		if c := Code(i); c.String() != word || c.Meaning() == "" || c.Meaning() == "unknown" {
			t.Errorf("%d: %s, %s", i, c, c.Meaning())
		}
	}
	if c := Code(8); c.String() != "CODE-8" || c.Meaning() != "unknown" {
		t.Errorf("%s, %s", c, c.Meaning())
	}
}
