package api

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	described  = regexp.MustCompile(`fqName: "([^"]+)".*variableLabels: \{([^}]*)\}`)
	named      = regexp.MustCompile(`countersign_[a-z0-9_]+`)
	selected   = regexp.MustCompile(`(countersign_[a-z0-9_]+)\{([^}]*)\}`)
	labelNamed = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
)

// TestDeployedMetricsExist reads what is deployed for Prometheus and Grafana: a name or label that
// /metrics does not have would be an alert that never comes, and a panel that stays empty.
func TestDeployedMetricsExist(t *testing.T) {
	exposed := map[string][]string{}
	for _, d := range allDescs {
		m := described.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("%s is not understood", d)
		}
		labels := append(strings.Split(m[2], ","), "job", "instance")
		exposed[m[1]] = labels
		if strings.HasSuffix(m[1], "_seconds") {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				exposed[m[1]+suffix] = append(labels, "le")
			}
		}
	}
	for _, file := range []string{"prometheus/countersign.rules.yaml", "prometheus/countersign.test.yaml", "grafana/countersign.json"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
		if err != nil {
			t.Fatal(err)
		}
		plain := strings.ReplaceAll(string(text), `\"`, `"`)
		names := named.FindAllString(plain, -1)
		if len(names) < 10 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
		for _, name := range names {
			if exposed[name] == nil {
				t.Errorf("%s names %s, which is not exposed", file, name)
			}
		}
		for _, m := range selected.FindAllStringSubmatch(plain, -1) {
			for _, l := range labelNamed.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(exposed[m[1]], l[1]) {
					t.Errorf("%s selects %s by %s, which it does not have", file, m[1], l[1])
				}
			}
		}
	}
}
