package kube

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestChartRefusesWrongValues: the schema of the chart's values says which.
func TestChartRefusesWrongValues(t *testing.T) {
	for _, wrong := range []string{
		"replicas=0",
		"replicas=two",
		"timeoutSeconds=31",
		"native=perhaps",
		"image.pullPolicy=Sometimes",
		"image.repository=",
		"certificates.authorityLifetime=forever",
		"certManager.issuerRef.kind=Thing",
		"excludedNamespaces={Not_A_Name}",
		"networkPolicy.apiServers={10.0.0.0}",
		"audit.schedule=hourly",
		"serviceMonitor.interval=often",
		"log.level=loud",
		"noSuchValue=1",
		"audit.noSuchValue=1",
	} {
		t.Run(wrong, func(t *testing.T) {
			out := cluster.tool(t, "", "helm", "template", "countersign", chart, "--set", wrong)
			path, _, _ := strings.Cut(wrong, "=")
			key := path[strings.LastIndexByte(path, '.')+1:]
			if out.code == 0 || !strings.Contains(out.stderr, key) {
				t.Errorf("helm exited with %d:\n%s", out.code, out.stderr)
			}
		})
	}
}

// TestNotesTellTheNextStep: by the names that there are.
func TestNotesTellTheNextStep(t *testing.T) {
	i := installObjects(t)
	notes := cluster.mustTool(t, "", "helm", "get", "notes", i.release, "--namespace", i.namespace)
	for _, want := range []string{
		"-n " + i.namespace + " rollout status deployment/" + text(i.the(t, "Deployment"), "metadata", "name"),
		"kubectl label namespace",
		"countersign inject audit",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q:\n%s", want, notes)
		}
	}
}

// TestUpgradeKeepsTrust upgrades in both of the ways that helm has, and as kubectl
// does: what the replicas have put into the chart's objects stays, and no pod
// is missed.
func TestUpgradeKeepsTrust(t *testing.T) {
	i := install(t)
	namespace := workspace(t)
	first := i.authorities(t)
	before := failedOpen(t)
	l := startLoad(namespace)
	upgrade := []string{"upgrade", i.release, chart, "--namespace", i.namespace, "--set", "log.level=debug"}
	for _, way := range []string{"--server-side=true", "--server-side=false"} {
		cluster.mustTool(t, "", "helm", append(upgrade, way)...)
		if now := i.authorities(t); !slices.Equal(first, now) {
			t.Errorf("helm %s left other authorities in the caBundle", way)
		}
	}
	manifests := render(t, i.release, i.namespace)
	cluster.mustTool(t, manifests, "kubectl", "apply", "--namespace", i.namespace, "--filename", "-")
	if now := i.authorities(t); !slices.Equal(first, now) {
		t.Error("kubectl apply left other authorities in the caBundle")
	}
	secret := cluster.admin.must(t, http.MethodGet, "/api/v1/namespaces/"+i.namespace+"/secrets/"+text(i.the(t, "Secret"), "metadata", "name"), nil)
	if data, _ := secret["data"].(object); len(data) == 0 {
		t.Error("the authorities are gone from the Secret")
	}
	l.end(t)
	if after := failedOpen(t); after != before {
		t.Errorf("the API server passed over %v calls that failed", after-before)
	}
}

// TestLostAuthoritiesAreReplaced empties the Secret that the replicas share: they
// make others and go over to them, and no pod is missed.
func TestLostAuthoritiesAreReplaced(t *testing.T) {
	i := install(t, "certificates.authorityLifetime=30s", "certificates.certificateLifetime=10s")
	namespace := workspace(t)
	first := i.authorities(t)
	before := failedOpen(t)
	l := startLoad(namespace)
	secret := "/api/v1/namespaces/" + i.namespace + "/secrets/" + text(i.the(t, "Secret"), "metadata", "name")
	cluster.admin.must(t, http.MethodPatch, secret, object{"data": nil})
	i.awaitOthers(t, first)
	l.end(t)
	if after := failedOpen(t); after != before {
		t.Errorf("the API server passed over %v calls that failed", after-before)
	}
	if data, _ := cluster.admin.must(t, http.MethodGet, secret, nil)["data"].(object); len(data) == 0 {
		t.Error("the Secret is still empty")
	}
}

// TestUninstallLeavesNothing of the chart's.
func TestUninstallLeavesNothing(t *testing.T) {
	cluster.admin.namespace(t, "to-be-left", nil)
	values := valueSets(t)["everything"]
	cluster.customResources(t)
	cluster.mustTool(t, "", "helm", "install", "left", chart, "--namespace", "to-be-left", "--values", values)
	manifests := documents(t, cluster.mustTool(t, "", "helm", "get", "manifest", "left", "--namespace", "to-be-left"))
	cluster.mustTool(t, "", "helm", "uninstall", "left", "--namespace", "to-be-left", "--wait=hookOnly")
	for _, o := range manifests {
		kind, name := text(o, "kind"), text(o, "metadata", "name")
		out := cluster.tool(t, "", "kubectl", "get", kind, name, "--namespace", "to-be-left")
		if !strings.Contains(out.stderr, "NotFound") {
			t.Errorf("%s %s is still there: %s%s", kind, name, out.stdout, out.stderr)
		}
	}
}
