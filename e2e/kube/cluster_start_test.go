package kube

import (
	"net/http"
	"testing"
)

// TestClusterAdmitsPods is the harness's own: without a webhook a pod is stored
// as it was sent.
func TestClusterAdmitsPods(t *testing.T) {
	cluster.admin.namespace(t, "plain", nil)
	pod := cluster.admin.must(t, http.MethodPost, "/api/v1/namespaces/plain/pods", object{
		"metadata": object{"name": "app"},
		"spec":     object{"containers": []any{object{"name": "app", "image": "example.com/app:1"}}},
	})
	if n := len(list(pod, "spec", "containers")); n != 1 {
		t.Fatalf("the pod has %d containers, want 1", n)
	}
}
