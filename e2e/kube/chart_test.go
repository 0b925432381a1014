package kube

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const chart = product + "/deploy/helm/countersign"

var update = flag.Bool("update", false, "write the goldens anew")

// valueSets are the ways of installing the chart that have a golden: each is
// testdata/values/NAME.yaml and testdata/chart/NAME.yaml.
func valueSets(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 {
		t.Fatalf("testdata/values has %d files, which is too few to have them all", len(files))
	}
	sets := map[string]string{}
	for _, file := range files {
		sets[strings.TrimSuffix(filepath.Base(file), ".yaml")] = file
	}
	return sets
}

// TestHelmLint runs the strictest lint over each way of installing the chart.
func TestHelmLint(t *testing.T) {
	for name, values := range valueSets(t) {
		t.Run(name, func(t *testing.T) {
			cluster.mustTool(t, "", "helm", "lint", "--strict", chart, "--values", values)
		})
	}
}

// TestChartTemplates compares what the chart renders with what it rendered when
// somebody last looked at it.
func TestChartTemplates(t *testing.T) {
	for name, values := range valueSets(t) {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", "chart", name+".yaml")
			rendered := render(t, "countersign", "countersign-system", "--values", values)
			if *update {
				if err := os.WriteFile(golden, []byte(rendered), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if rendered != string(want) {
				t.Errorf("the chart renders other manifests than %s has; look at the difference, and write it anew with -update:\n%s", golden, difference(string(want), rendered))
			}
		})
	}
}

// difference names the first line in which two texts differ.
func difference(want, got string) string {
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(wants), len(gots)) {
		w, g := "(the end)", "(the end)"
		if i < len(wants) {
			w = wants[i]
		}
		if i < len(gots) {
			g = gots[i]
		}
		if w != g {
			return fmt.Sprintf("line %d:\n- %s\n+ %s", i+1, w, g)
		}
	}
	return "(none)"
}

// render returns the manifests that the chart makes.
func render(t *testing.T, release, namespace string, args ...string) string {
	t.Helper()
	return cluster.mustTool(t, "", "helm", append([]string{"template", release, chart, "--namespace", namespace}, args...)...)
}

// TestChartApplies has the API server check every manifest of each way of
// installing the chart, with unknown and doubled fields as errors.
func TestChartApplies(t *testing.T) {
	cluster.customResources(t)
	for name, values := range valueSets(t) {
		t.Run(name, func(t *testing.T) {
			namespace := "applies-" + name
			cluster.admin.namespace(t, namespace, restricted)
			rendered := render(t, name, namespace, "--values", values)
			out := cluster.tool(t, rendered, "kubectl", "apply", "--server-side", "--validate=strict", "--namespace", namespace, "--filename", "-")
			if out.code != 0 {
				t.Fatalf("kubectl apply exited with %d:\n%s%s", out.code, out.stdout, out.stderr)
			}
			t.Cleanup(func() {
				cluster.mustTool(t, rendered, "kubectl", "delete", "--wait=false", "--namespace", namespace, "--filename", "-")
			})
			if strings.Contains(out.stderr, "Warning") {
				t.Errorf("the API server warns:\n%s", out.stderr)
			}
			for _, o := range documents(t, rendered) {
				if template := template(o); template != nil {
					_, warned, err := create(namespace, podOf(template, "by-template"), true)
					if err != nil || len(warned) > 0 {
						t.Errorf("pods of %s %s: %v %v", text(o, "kind"), text(o, "metadata", "name"), err, warned)
					}
				}
			}
			cluster.mustTool(t, rendered, "kubectl", "diff", "--server-side", "--namespace", namespace, "--filename", "-") // fails when there is one
		})
	}
}

// restricted are the labels of a namespace that admits pods of the strictest
// standard alone: https://kubernetes.io/docs/concepts/security/pod-security-standards/
var restricted = object{
	"pod-security.kubernetes.io/enforce":         "restricted",
	"pod-security.kubernetes.io/enforce-version": "latest",
	"pod-security.kubernetes.io/warn":            "restricted",
}

// customResources teaches the cluster the kinds of others that the chart may
// have objects of, and waits until it has learnt them.
func (c *Cluster) customResources(t *testing.T) {
	t.Helper()
	c.mustTool(t, "", "kubectl", "apply", "--server-side", "--filename", filepath.Join(programs, "crds"))
	c.mustTool(t, "", "kubectl", "wait", "--for", "condition=Established", "--timeout", patience.String(), "--filename", filepath.Join(programs, "crds"))
}

// TestKustomizeBaseApplies has the API server check what the base builds.
func TestKustomizeBaseApplies(t *testing.T) {
	built := cluster.mustTool(t, "", "kubectl", "kustomize", product+"/deploy/kustomize/base")
	var namespace string
	for _, o := range documents(t, built) {
		if text(o, "kind") == "Namespace" {
			namespace = text(o, "metadata", "name")
		}
	}
	if namespace == "" {
		t.Fatal("the base makes no namespace of its own")
	}
	out := cluster.tool(t, built, "kubectl", "apply", "--server-side", "--validate=strict", "--filename", "-")
	if out.code != 0 || strings.Contains(out.stderr, "Warning") {
		t.Fatalf("kubectl apply exited with %d:\n%s%s", out.code, out.stdout, out.stderr)
	}
	t.Cleanup(func() { cluster.mustTool(t, built, "kubectl", "delete", "--wait=false", "--filename", "-") })
	for _, o := range documents(t, built) {
		if template := template(o); template != nil && text(o, "kind") == "Deployment" {
			cluster.admin.must(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/pods?dryRun=All", podOf(template, "by-template"))
		}
	}
}

// TestKustomizeBaseIsTheChart: the base makes what the chart makes with its
// default values, but for what only one of them can know.
func TestKustomizeBaseIsTheChart(t *testing.T) {
	base := documents(t, cluster.mustTool(t, "", "kubectl", "kustomize", product+"/deploy/kustomize/base"))
	fromBase, fromChart := map[string]string{}, map[string]string{}
	for _, o := range base {
		if text(o, "kind") != "Namespace" {
			fromBase[text(o, "kind")+" "+text(o, "metadata", "name")] = pretty(withoutRelease(o))
		}
	}
	for _, o := range documents(t, render(t, "countersign", "countersign")) {
		fromChart[text(o, "kind")+" "+text(o, "metadata", "name")] = pretty(withoutRelease(o))
	}
	for name, want := range fromChart {
		if got, ok := fromBase[name]; !ok {
			t.Errorf("the base has no %s", name)
		} else if got != want {
			t.Errorf("%s of the base is not the chart's: %s", name, difference(want, got))
		}
	}
	for name := range fromBase {
		if _, ok := fromChart[name]; !ok {
			t.Errorf("the chart has no %s", name)
		}
	}
}

// withoutRelease is an object without the labels of a release, and without the
// arguments that say what is so by default.
func withoutRelease(o object) object {
	o = clone(o)
	of := template(o)
	for _, labelled := range []any{o, of} {
		if labels, ok := dig(labelled, "metadata", "labels").(object); ok {
			for _, key := range []string{"helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"} {
				delete(labels, key)
			}
		}
	}
	for _, container := range list(of, "spec", "containers") {
		args, _ := container["args"].([]any)
		container["args"] = slices.DeleteFunc(args, func(arg any) bool {
			name, _, _ := strings.Cut(fmt.Sprint(arg), "=")
			return slices.Contains([]string{"--namespace", "--native", "--log-level", "--log-format", "--authority-lifetime", "--certificate-lifetime", "--default"}, name)
		})
	}
	return o
}

// documents are the objects of a stream of YAML documents.
func documents(t *testing.T, stream string) []object {
	t.Helper()
	var objects []object
	for document := range strings.SplitSeq("\n"+stream, "\n---") {
		var o object
		if err := yaml.Unmarshal([]byte(document), &o); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(o) > 0 {
			objects = append(objects, o)
		}
	}
	return objects
}
