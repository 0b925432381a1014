package verify

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports makes sure that the verifier shares nothing with the writer of
// logs: neither the ledger, nor its store, nor its tree. Of the module it has the
// witnesses, whose client trusts the certificate authorities of roots.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{"ledger/verify": true, "ledger/witness": true, "roots": true}
	ours := 0
	for path := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(path, "github.com/dgraph-io/") || path == "golang.org/x/mod/sumdb/tlog" {
			t.Errorf("imports %s", path)
		}
		if name, ok := strings.CutPrefix(path, "github.com/countersign-dev/countersign/"); ok {
			ours++
			if !allowed[name] {
				t.Errorf("imports %s", path)
			}
		}
	}
	if ours != len(allowed) {
		t.Errorf("%d packages of the module, not %d", ours, len(allowed))
	}
}
