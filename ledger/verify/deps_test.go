package verify

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports makes sure that the verifier shares nothing with the writer of
// logs: neither the ledger, nor its store, nor its tree.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	var ours int
	for path := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(path, "github.com/dgraph-io/") || path == "golang.org/x/mod/sumdb/tlog" {
			t.Errorf("imports %s", path)
		}
		if name, ok := strings.CutPrefix(path, "github.com/countersign-dev/countersign/"); ok {
			ours++
			if name != "ledger/verify" && name != "ledger/witness" {
				t.Errorf("imports %s", path)
			}
		}
	}
	if ours != 2 {
		t.Errorf("%d packages of the module instead of verify and witness", ours)
	}
}
