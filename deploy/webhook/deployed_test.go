package webhook

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestDeployedMetricsExist reads the alerts and their tests: a name, or an outcome, that /metrics does not have would
// be an alert that never comes.
func TestDeployedMetricsExist(t *testing.T) {
	m := newMetrics()
	descs := make(chan *prometheus.Desc, 100)
	for _, c := range []prometheus.Collector{m.reviews, m.duration, state{}} {
		c.Describe(descs)
	}
	close(descs)
	var exposed []string
	described := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descs {
		exposed = append(exposed, described.FindStringSubmatch(d.String())[1])
	}
	named := regexp.MustCompile(`countersign_[a-z0-9_]+`)
	selected := regexp.MustCompile(`outcome="([^"]*)"`)
	for _, file := range []string{"countersign-webhook.rules.yaml", "countersign-webhook.test.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "prometheus", file))
		if err != nil {
			t.Fatal(err)
		}
		names := named.FindAllString(string(text), -1)
		if len(names) < 5 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
		for _, name := range names {
			if !slices.Contains(exposed, name) {
				t.Errorf("%s names %s, which is not exposed", file, name)
			}
		}
		for _, one := range selected.FindAllStringSubmatch(string(text), -1) {
			if !slices.Contains(outcomes, outcome(one[1])) {
				t.Errorf("%s selects the outcome %s, which there is not", file, one[1])
			}
		}
	}
}
