package kube

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// installation is the chart installed into a namespace of its own, with the
// Deployment's pods running as processes.
type installation struct {
	release, namespace string
	manifests          []object
	replicas           []*replica
}

// installed counts the installations, as names of objects outside of namespaces
// must differ.
var installed atomic.Int32

// install installs the chart as its users do and waits until two replicas are
// ready. The namespace admits restricted pods alone.
func install(t *testing.T, set ...string) *installation {
	t.Helper()
	i := installObjects(t, set...)
	for n := range 2 {
		i.replicas = append(i.replicas, i.startReplica(t, n))
	}
	for _, r := range i.replicas {
		r.awaitReady(t)
	}
	return i
}

// installObjects is install without the pods.
func installObjects(t *testing.T, set ...string) *installation {
	t.Helper()
	n := installed.Add(1)
	i := &installation{release: fmt.Sprintf("countersign-%d", n), namespace: fmt.Sprintf("countersign-system-%d", n)}
	cluster.admin.namespace(t, i.namespace, restricted)
	args := []string{"install", i.release, chart, "--namespace", i.namespace}
	for _, value := range set {
		args = append(args, "--set", value)
	}
	cluster.mustTool(t, "", "helm", args...)
	t.Cleanup(func() {
		cluster.mustTool(t, "", "helm", "uninstall", i.release, "--namespace", i.namespace, "--wait=hookOnly")
		cluster.admin.must(t, http.MethodDelete, "/api/v1/namespaces/"+i.namespace+"/pods?gracePeriodSeconds=0", nil)
	})
	i.manifests = documents(t, cluster.mustTool(t, "", "helm", "get", "manifest", i.release, "--namespace", i.namespace))
	return i
}

// the returns the installation's only object of a kind.
func (i *installation) the(t *testing.T, kind string) object {
	t.Helper()
	var found object
	for _, o := range i.manifests {
		if text(o, "kind") != kind {
			continue
		}
		if found != nil {
			t.Fatalf("the chart has more than one %s", kind)
		}
		found = o
	}
	if found == nil {
		t.Fatalf("the chart has no %s", kind)
	}
	return found
}

// startReplica creates the n-th pod from the Deployment's template and runs it.
func (i *installation) startReplica(t *testing.T, n int) *replica {
	t.Helper()
	deployment := i.the(t, "Deployment")
	pod := podOf(template(deployment), fmt.Sprintf("%s-%d", text(deployment, "metadata", "name"), n))
	return cluster.runPod(t, cluster.admin.must(t, http.MethodPost, "/api/v1/namespaces/"+i.namespace+"/pods", pod))
}

// awaitReady waits until the Services of the replica's namespace may send to it.
func (r *replica) awaitReady(t *testing.T) {
	t.Helper()
	if err := r.awaitHealthy(r.namespace+"/"+r.name, r.ready); err != nil {
		t.Fatal(err)
	}
}

// workspaces counts the namespaces that tests work in.
var workspaces atomic.Int32

// workspace creates a namespace whose pods are to be injected, unless there are
// labels that say otherwise. Its pods are gone at the end.
func workspace(t *testing.T, labels ...object) string {
	t.Helper()
	name := fmt.Sprintf("work-%d-%s", workspaces.Add(1), strings.ToLower(strings.NewReplacer("/", "-", "_", "-", "#", "-").Replace(t.Name())))
	name = strings.TrimRight(name[:min(len(name), 63)], "-")
	all := object{"countersign.dev/inject": "enabled"}
	for _, more := range labels {
		for key, value := range more {
			all[key] = value
		}
	}
	cluster.admin.namespace(t, name, all)
	t.Cleanup(func() {
		cluster.admin.must(t, http.MethodDelete, "/api/v1/namespaces/"+name+"/pods?gracePeriodSeconds=0", nil)
	})
	return name
}
