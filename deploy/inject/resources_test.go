package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestResourcesOfThePodAreShared gives pods resources of their own, which the containers must not come to
// more than: the sidecar has none of those.
func TestResourcesOfThePodAreShared(t *testing.T) {
	const limits = `"countersign.dev/cpu-limit":"1","countersign.dev/memory-limit":"1Gi"`
	const guaranteed = `{"limits":{"cpu":"1","memory":"1Gi"}}`
	for _, tt := range []struct{ annotations, pod, container, want, warning string }{
		{"", `null`, `null`, `{"requests":{"cpu":"20m","memory":"64Mi"},"limits":{"memory":"128Mi"}}`, ""},
		{"", `{}`, `null`, `{"requests":{"cpu":"20m","memory":"64Mi"},"limits":{"memory":"128Mi"}}`, ""},
		{"", `{"requests":{"cpu":"100m","memory":"64Mi"},"limits":{"memory":"64Mi"}}`, `null`, `{}`, "of cpu and memory,"},
		{"", `{"limits":{"memory":"1Gi"}}`, `null`, `{"requests":{"cpu":"20m"}}`, "of memory,"},
		{"", `{"requests":{"memory":"1Gi"}}`, `null`, `{"requests":{"cpu":"20m"}}`, "of memory,"},
		{"", `{"requests":{"cpu":0}}`, `null`, `{"requests":{"memory":"64Mi"},"limits":{"memory":"128Mi"}}`, "of cpu,"},
		{"", `{"limits":{"hugepages-2Mi":"4Mi"}}`, `null`, `{"requests":{"cpu":"20m","memory":"64Mi"},"limits":{"memory":"128Mi"}}`, ""},
		{`"countersign.dev/cpu-request":""`, `{"limits":{"cpu":"1"}}`, `null`, `{"requests":{"memory":"64Mi"},"limits":{"memory":"128Mi"}}`, ""},
		{limits, `{"limits":{"memory":"2Gi"}}`, `null`, `{"requests":{"cpu":"20m"},"limits":{"cpu":"1"}}`, "of memory,"},
		{limits, `null`, guaranteed, `{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1","memory":"1Gi"}}`, ""},
		{limits, `{"limits":{"memory":"2Gi"}}`, guaranteed, `{"requests":{"cpu":"20m"},"limits":{"cpu":"1"}}`, "of memory,"},
		{"", `null`, guaranteed, `{"requests":{"cpu":"20m","memory":"64Mi"},"limits":{"memory":"128Mi"}}`, "the pod is Guaranteed,"},
		{"", `{}`, guaranteed, `{"requests":{"cpu":"20m","memory":"64Mi"},"limits":{"memory":"128Mi"}}`, ""},
		{"", `{"limits":{"cpu":"2","memory":"2Gi"}}`, guaranteed, `{}`, "of cpu and memory,"},
	} {
		text := fmt.Sprintf(`{"metadata":{"annotations":{"countersign.dev/ledger":"emptyDir"%s}},"spec":{"resources":%s,"containers":[{"name":"a","ports":[{"name":"http","containerPort":80}],"resources":%s}]}}`,
			strings.TrimSuffix(","+tt.annotations, ","), tt.pod, tt.container)
		r, err := Pod([]byte(text), Owner{Name: "a"}, Defaults())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := addedResources(t, r.Patch); got != tt.want {
			t.Errorf("%s: the sidecar has %s, want %s", text, got, tt.want)
		}
		said := strings.Join(r.Warnings, "\n")
		if (said == "") != (tt.warning == "") || !strings.Contains(said, tt.warning) || len(r.Warnings) > 1 {
			t.Errorf("%s: warnings %q, want one with %q", text, r.Warnings, tt.warning)
		}
	}
}

// addedResources are those of the sidecar that a patch adds.
func addedResources(t *testing.T, patch []Operation) string {
	t.Helper()
	for _, op := range patch {
		var added []struct {
			Name      string          `json:"name"`
			Resources json.RawMessage `json:"resources"`
		}
		if op.Path == "/spec/initContainers" && json.Unmarshal(op.Value, &added) == nil && len(added) == 1 && added[0].Name == Container {
			return string(added[0].Resources)
		}
	}
	t.Fatalf("no sidecar in %v", patch)
	return ""
}

// TestReasonOfARefusalGoes takes the reason from a pod that gets the sidecar, and from no other.
func TestReasonOfARefusalGoes(t *testing.T) {
	const path = "/metadata/annotations/countersign.dev~1refused"
	for _, tt := range []struct {
		annotations string
		want        string
	}{
		{`"countersign.dev/refused":"it has no port"`, "add /metadata/annotations/countersign.dev~1status, remove " + path},
		{`"countersign.dev/refused":""`, "add /metadata/annotations/countersign.dev~1status, remove " + path},
		{`"countersign.dev/inject":"disabled","countersign.dev/refused":"x"`, ""},
		{`"example.com/a":"x"`, "add /metadata/annotations/countersign.dev~1status"},
	} {
		text := fmt.Sprintf(`{"metadata":{"annotations":{%s}},"spec":{"containers":[{"name":"a","ports":[{"containerPort":80}]}]}}`, tt.annotations)
		r, err := Pod([]byte(text), Owner{Name: "a"}, Defaults())
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var got []string
		for _, op := range r.Patch {
			if strings.HasPrefix(op.Path, "/metadata") {
				got = append(got, op.Op+" "+op.Path)
			}
			if written, err := json.Marshal(op); err != nil || (op.Op == "remove") == strings.Contains(string(written), `"value"`) {
				t.Errorf("%s: %s, %v", text, written, err)
			}
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%s: %q, want %s", text, got, tt.want)
		}
	}
}

// TestRequestsAboveTheirLimitsAreRefused, as Kubernetes would refuse the pod itself.
func TestRequestsAboveTheirLimitsAreRefused(t *testing.T) {
	for _, tt := range []struct{ annotations, pod, want string }{
		{`"countersign.dev/memory-limit":"64Mi"`, `null`, ""},
		{`"countersign.dev/memory-limit":"67108864"`, `null`, ""},
		{`"countersign.dev/memory-limit":"67108863"`, `null`, "the sidecar would be promised 64Mi of memory, and may have only 67108863"},
		{`"countersign.dev/memory-limit":"63Mi","countersign.dev/memory-request":"63Mi"`, `null`, ""},
		{`"countersign.dev/memory-limit":"63Mi","countersign.dev/memory-request":""`, `null`, ""},
		{`"countersign.dev/memory-limit":"63Mi"`, `{"limits":{"memory":"1Gi"}}`, ""},
		{`"countersign.dev/memory-limit":"67M"`, `null`, "the sidecar would be promised 64Mi of memory, and may have only 67M"},
		{`"countersign.dev/memory-limit":"68M"`, `null`, ""},
		{`"countersign.dev/cpu-limit":"19m"`, `null`, "the sidecar would be promised 20m of cpu, and may have only 19m"},
		{`"countersign.dev/cpu-limit":"0.02"`, `null`, ""},
		{`"countersign.dev/cpu-limit":"0.0199"`, `null`, "the sidecar would be promised 20m of cpu, and may have only 0.0199"},
		{`"countersign.dev/cpu-request":"1k","countersign.dev/cpu-limit":"999"`, `null`, "the sidecar would be promised 1k of cpu, and may have only 999"},
		{`"countersign.dev/memory-request":"1Gi","countersign.dev/memory-limit":"1G"`, `null`, "the sidecar would be promised 1Gi of memory, and may have only 1G"},
		{`"countersign.dev/memory-request":"1Pi","countersign.dev/memory-limit":"1024Ti"`, `null`, ""},
	} {
		text := fmt.Sprintf(`{"metadata":{"annotations":{%s}},"spec":{"resources":%s,"containers":[{"name":"a","ports":[{"containerPort":80}]}]}}`, tt.annotations, tt.pod)
		_, err := Pod([]byte(text), Owner{Name: "a"}, Defaults())
		refusal, refused := errors.AsType[*Refusal](err)
		if refused != (err != nil) || refused != (tt.want != "") || refused && refusal.Reason != tt.want {
			t.Errorf("%s: %v, want %q", text, err, tt.want)
		}
	}
}
