package kube

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The names by which a pod tells what became of it.
const (
	statusAnnotation  = "countersign.dev/status"
	refusedAnnotation = "countersign.dev/refused"
	sidecarName       = "countersign"
)

// api is a pod template as somebody who knows restricted namespaces writes it.
func api() object {
	return object{
		"metadata": object{"labels": object{"app": "api"}},
		"spec": object{
			"securityContext": object{"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": object{"type": "RuntimeDefault"}},
			"containers": []any{object{
				"name": "api", "image": "example.com/api:1",
				"ports":           []any{object{"name": "http", "containerPort": 8080}},
				"readinessProbe":  object{"httpGet": object{"path": "/ready", "port": "http"}},
				"securityContext": object{"allowPrivilegeEscalation": false, "capabilities": object{"drop": []any{"ALL"}}},
			}},
		},
	}
}

// create has a pod admitted and, unless it is a dry run, stored.
func create(namespace string, pod object, dryRun bool) (object, []string, error) {
	path := "/api/v1/namespaces/" + namespace + "/pods"
	if dryRun {
		path += "?dryRun=All"
	}
	return cluster.admin.do(http.MethodPost, path, pod)
}

// mustCreate is create for a pod that has to be admitted.
func mustCreate(t *testing.T, namespace string, pod object) object {
	t.Helper()
	stored, _, err := create(namespace, pod, false)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// sidecar is the sidecar of a pod and whether it is a native one; nil when it has none.
func sidecar(pod object) (container object, native bool) {
	for _, key := range []string{"initContainers", "containers"} {
		for _, c := range list(pod, "spec", key) {
			if text(c, "name") == sidecarName {
				return c, key == "initContainers"
			}
		}
	}
	return nil, false
}

// injected reports whether a pod carries our sidecar, and says so itself.
func injected(pod object) bool {
	c, _ := sidecar(pod)
	return c != nil && text(pod, "metadata", "annotations", statusAnnotation) != ""
}

// submitted is a pod as it would be sent again: without what the API server adds.
func submitted(pod object) object {
	pod = clone(pod)
	delete(pod, "status")
	metadata := pod["metadata"].(object)
	for _, key := range []string{"creationTimestamp", "managedFields", "resourceVersion", "uid", "generation", "namespace", "selfLink"} {
		delete(metadata, key)
	}
	return pod
}

// TestRestrictedNamespaceAdmitsInjectedPods: one whose pods the API server would
// forbid were the sidecar not as restricted as they are.
func TestRestrictedNamespaceAdmitsInjectedPods(t *testing.T) {
	install(t)
	namespace := workspace(t, restricted)
	pod, warned, err := create(namespace, podOf(api(), "api"), false)
	if err != nil {
		t.Fatal(err)
	}
	if !injected(pod) {
		t.Fatalf("the pod was admitted without the sidecar: %v", pod["metadata"])
	}
	for _, warning := range warned {
		if strings.Contains(warning, "PodSecurity") {
			t.Errorf("the API server warns: %s", warning)
		}
	}
	if _, native := sidecar(pod); !native {
		t.Error("the sidecar is no native one, which this version of Kubernetes has")
	}
	loose := api()
	delete(loose["spec"].(object)["containers"].([]any)[0].(object), "securityContext")
	if _, _, err := create(namespace, podOf(loose, "loose"), false); err == nil || !strings.Contains(err.Error(), "PodSecurity") {
		t.Errorf("the namespace admits any pod, so it shows nothing: %v", err)
	}
}

// TestInjectingTwiceChangesNothing sends an injected pod again.
func TestInjectingTwiceChangesNothing(t *testing.T) {
	install(t)
	namespace := workspace(t)
	first := submitted(mustCreate(t, namespace, podOf(api(), "api")))
	if !injected(first) {
		t.Fatal("the pod was admitted without the sidecar")
	}
	again := clone(first)
	again["metadata"].(object)["name"] = "again"
	second := submitted(mustCreate(t, namespace, again))
	second["metadata"].(object)["name"] = "api"
	if !reflect.DeepEqual(first, second) {
		t.Errorf("the second injection changed the pod:\n%s", difference(pretty(first), pretty(second)))
	}
}

func pretty(o any) string {
	encoded, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(encoded)
}

// TestOnlyWhatAsksIsInjected: a namespace says yes for its pods, and each may
// say no for itself.
func TestOnlyWhatAsksIsInjected(t *testing.T) {
	i := install(t)
	enabled := workspace(t)
	disabled := podOf(api(), "disabled")
	disabled["metadata"].(object)["labels"].(object)["countersign.dev/inject"] = "disabled"
	for _, c := range []struct {
		what, namespace string
		pod             object
		want            bool
	}{
		{"a pod of a namespace that asks", enabled, podOf(api(), "enabled"), true},
		{"a pod that wants none", enabled, disabled, false},
		{"a pod of a namespace that does not ask", workspace(t, object{"countersign.dev/inject": "disabled"}), podOf(api(), "api"), false},
		{"a pod of kube-system", "kube-system", podOf(api(), "api"), false},
		{"a pod of the webhook's own namespace", i.namespace, podOf(api(), "api"), false},
	} {
		// Both ask, so that what keeps them out is not the lack of a label.
		if c.namespace == "kube-system" || c.namespace == i.namespace {
			cluster.admin.must(t, http.MethodPatch, "/api/v1/namespaces/"+c.namespace, object{"metadata": object{"labels": object{"countersign.dev/inject": "enabled"}}})
		}
		if c.namespace == "kube-system" {
			cluster.admin.do(http.MethodPost, "/api/v1/namespaces/kube-system/serviceaccounts", object{"metadata": object{"name": "default"}})
		}
		pod, _, err := create(c.namespace, c.pod, true)
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
		} else if injected(pod) != c.want {
			t.Errorf("%s: injected is %v, want %v", c.what, !c.want, c.want)
		}
	}
}

// randomSpecs is how many pods TestPatchesOfRandomPodsAreValid makes.
const randomSpecs = 600

// seed is another for other pods.
var seed = flag.Uint64("seed", 1, "where the random pods begin")

// TestPatchesOfRandomPodsAreValid sends pods that the API server takes without
// the webhook, of which it has to take every one with it.
func TestPatchesOfRandomPodsAreValid(t *testing.T) {
	install(t)
	plain, namespace := workspace(t, object{"countersign.dev/inject": "disabled"}), workspace(t)
	r := randomPods{rand.New(rand.NewPCG(*seed, 0))}
	took, got := 0, 0
	for range randomSpecs {
		pod := r.pod("random")
		as, _, err := create(plain, pod, true)
		if refusal := (*failure)(nil); errors.As(err, &refusal) {
			continue // not a valid pod to begin with
		} else if err != nil {
			t.Fatal(err)
		}
		took++
		after, _, err := create(namespace, pod, true)
		if err != nil {
			t.Errorf("the pod was valid before it was injected: %v\n%s", err, pretty(pod))
			continue
		}
		if wrong := judge(submitted(as), submitted(after)); wrong != "" {
			t.Errorf("%s\nbefore: %s\nafter: %s", wrong, pretty(as), pretty(after))
			continue
		}
		if !injected(after) {
			continue
		}
		got++
		again, _, err := create(namespace, submitted(after), true)
		if err != nil {
			t.Errorf("an injected pod is not admitted again: %v\n%s", err, pretty(after))
		} else if first, second := pretty(submitted(after)), pretty(submitted(again)); first != second {
			t.Errorf("injecting twice changes the pod: %s\n%s", difference(first, second), first)
		}
		if t.Failed() && took-got > 20 {
			break // enough to look at
		}
	}
	t.Logf("of %d pods the API server took %d, and %d of these got the sidecar", randomSpecs, took, got)
	if took < randomSpecs/3 || got < took/4 {
		t.Error("too few are valid or injected to show anything")
	}
}

// judge says what is wrong with what the webhook did to a pod; before is the pod
// as the API server stores it without the webhook.
func judge(before, after object) string {
	if injected(before) || !injected(after) {
		if text(after, "metadata", "annotations", refusedAnnotation) == "" && !carries(before) {
			return "the pod has neither the sidecar nor the reason why it has none"
		}
		before, after := clone(before), clone(after)
		if annotations, ok := dig(after, "metadata", "annotations").(object); ok {
			delete(annotations, refusedAnnotation)
			if len(annotations) == 0 {
				delete(after["metadata"].(object), "annotations")
			}
		}
		if a, b := pretty(anonymous(before)), pretty(anonymous(after)); a != b {
			return "a pod that was left alone is not as it was: " + difference(a, b)
		}
		return ""
	}
	for _, key := range []string{"initContainers", "containers"} {
		var was, is []string
		for _, c := range list(before, "spec", key) {
			was = append(was, essence(c), handled(c))
		}
		for _, c := range list(after, "spec", key) {
			if text(c, "name") != sidecarName {
				is = append(is, essence(c), handled(c))
			}
		}
		if !slices.Equal(was, is) {
			return fmt.Sprintf("the %s are not what they were:\n%s\n%s", key, was, is)
		}
	}
	return ""
}

// carries reports whether a pod says by itself that it has the sidecar.
func carries(pod object) bool {
	c, _ := sidecar(pod)
	return c != nil || text(pod, "metadata", "annotations", statusAnnotation) != ""
}

// essence is what the webhook has no business to touch of a container.
func essence(container object) string {
	of := object{}
	for key, value := range container {
		switch key {
		case "ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle": // may speak of a port by its name
		case "volumeMounts": // the API server's own have random names
			var own []any
			for _, mount := range value.([]any) {
				if !strings.HasPrefix(text(mount, "name"), "kube-api-access-") {
					own = append(own, mount)
				}
			}
			of[key] = own
		default:
			of[key] = value
		}
	}
	return pretty(of)
}

// handled are a container's probes and hooks with the numbers of the ports that
// they ask, by whatever names.
func handled(container object) string {
	numbers := map[any]any{}
	for _, port := range list(container, "ports") {
		numbers[port["name"]] = port["containerPort"]
	}
	resolve := func(handler object) {
		for _, kind := range []string{"httpGet", "tcpSocket"} {
			if to, ok := handler[kind].(object); ok {
				if number, named := numbers[to["port"]]; named {
					to["port"] = number
				}
			}
		}
	}
	of := object{}
	copied := clone(container)
	for _, key := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if probe, ok := copied[key].(object); ok {
			resolve(probe)
			of[key] = probe
		}
	}
	for _, hook := range []string{"postStart", "preStop"} {
		if handler, ok := dig(copied, "lifecycle", hook).(object); ok {
			resolve(handler)
			of[hook] = handler
		}
	}
	return pretty(of)
}

// anonymous is a pod with the random name of its service account's volume taken out.
func anonymous(pod object) object {
	for _, volume := range list(pod, "spec", "volumes") {
		if name := text(volume, "name"); strings.HasPrefix(name, "kube-api-access-") {
			var renamed object
			if err := json.Unmarshal([]byte(strings.ReplaceAll(pretty(pod), name, "kube-api-access")), &renamed); err == nil {
				return renamed
			}
		}
	}
	return pod
}
