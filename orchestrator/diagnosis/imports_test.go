package diagnosis_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestDecidesNothing walks all that this package and its providers are made of:
// whatever they conclude, there is no way from them to a state transition, an
// approval, an action, a message or a connection.
func TestDecidesNothing(t *testing.T) {
	const module = "github.com/countersign-dev/countersign/"
	out, err := exec.Command("go", "list", "-deps", ".", "./anthropic", "./openai", "./corpus", "./provider").Output()
	if err != nil {
		t.Fatalf("go list -deps: %v", err)
	}
	allowed := map[string]bool{
		"orchestrator/diagnosis": true, "orchestrator/diagnosis/anthropic": true, "orchestrator/diagnosis/openai": true, "orchestrator/diagnosis/corpus": true,
		"orchestrator/health": true, "orchestrator/policy": true, "orchestrator/change": true, "orchestrator/plain": true, "orchestrator/diagnosis/provider": true,
		"histogram": true, "histogram/clock": true, "strictyaml": true,
		"roots": true, // certificate authorities, of which the changes' client is in need
	}
	found := 0
	for name := range strings.Lines(string(out)) {
		name, ours := strings.CutPrefix(strings.TrimSpace(name), module)
		if !ours {
			continue
		}
		found++
		if !allowed[name] {
			t.Errorf("diagnosis reaches %s: a diagnosis must have no path to a decision or an effect", name)
		}
	}
	if found < 7 {
		t.Errorf("only %d packages were looked at", found)
	}
}
