//go:build slow

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAlertRules has promtool check the rules, and run the tests beside them.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool", "prometheus")
	for _, args := range [][]string{
		{"check", "rules", "countersign.rules.yaml", "countersign-webhook.rules.yaml"},
		{"test", "rules", "countersign.test.yaml", "countersign-webhook.test.yaml"},
	} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join("..", "deploy", "prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestDashboard has promtool parse every expression of the dashboard, with values in the place
// of Grafana's variables.
func TestDashboard(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool", "prometheus")
	text, err := os.ReadFile(filepath.Join("..", "deploy", "grafana", "countersign.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	rules, n := "groups:\n- name: dashboard\n  rules:\n", 0
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, panel := range dashboard.Panels {
		if ids[panel.ID] {
			t.Errorf("two panels are %d", panel.ID)
		}
		ids[panel.ID] = true
		for x := range panel.GridPos.W {
			for y := range panel.GridPos.H {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				if other := taken[at]; other != "" {
					t.Errorf("%s lies over %s", panel.Title, other)
				}
				taken[at] = panel.Title
			}
		}
		for _, target := range panel.Targets {
			n++
			expr, err := json.Marshal(strings.NewReplacer("$__rate_interval", "1m", "$job", ".*", "$instance", ".*").Replace(target.Expr))
			if err != nil {
				t.Fatal(err)
			}
			rules += fmt.Sprintf("  - {record: 'panel:%d', expr: %s}\n", n, expr)
		}
	}
	if n < 20 {
		t.Errorf("the dashboard has only %d expressions", n)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s\n%s", err, out, rules)
	}
}
