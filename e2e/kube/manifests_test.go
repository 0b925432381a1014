package kube

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shapes are the manifests of deploy/inject, each with what the command makes of it.
const shapes = product + "/deploy/inject/testdata/shapes"

// shape is a file of them: a comment, and what it has between lines such as "-- in --".
type shape struct {
	comment  string
	sections map[string]string
}

func readShape(t *testing.T, file string) shape {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := shape{sections: map[string]string{}}
	section := ""
	for line := range strings.Lines(string(content)) {
		if name, ok := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "-- "); ok && strings.HasSuffix(name, " --") {
			section = strings.TrimSuffix(name, " --")
			continue
		}
		s.sections[section] += line
	}
	s.comment = s.sections[""]
	return s
}

// workloads are the objects with pods among documents, those in Lists too, of the
// kinds that Kubernetes itself has.
func workloads(t *testing.T, stream string) []object {
	t.Helper()
	var all []object
	for _, o := range documents(t, stream) {
		for _, each := range append(list(o, "items"), o) {
			if template(each) != nil && slices.Contains([]string{"v1", "apps/v1", "batch/v1"}, text(each, "apiVersion")) {
				all = append(all, each)
			}
		}
	}
	return all
}

// outcomes are what the command said of each object, by its kind and name.
func (s shape) outcomes() map[string]string {
	said := map[string]string{}
	for line := range strings.Lines(s.sections["said"]) {
		f := strings.Fields(line)
		if len(f) >= 3 && f[0] != "warning" {
			said[f[1]+" "+strings.TrimSuffix(f[2], ":")] = strings.TrimSpace(line)
		}
	}
	return said
}

// TestTemplatesAreInjectedAsTheGoldensSay has the pods of every workload created
// as their controllers do. What the webhook makes of one has to be what the
// golden of the manifest says, as the API server stores it.
func TestTemplatesAreInjectedAsTheGoldensSay(t *testing.T) {
	install(t)
	namespace, plain := workspace(t), workspace(t, object{"countersign.dev/inject": "disabled"})
	files, err := filepath.Glob(shapes + "/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("there are %d manifests: %v", len(files), err)
	}
	compared := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			s := readShape(t, file)
			before, after := workloads(t, s.sections["in"]), workloads(t, s.sections["out"])
			if len(after) == 0 {
				after = before // nothing in the file was changed
			}
			if len(before) == 0 || len(before) != len(after) {
				t.Fatalf("the manifest has %d workloads, its golden %d", len(before), len(after))
			}
			for n := range before {
				got, _, err := create(namespace, podBy(before[n]), true)
				if err != nil {
					t.Fatalf("with the webhook: %v", err)
				}
				said := s.outcomes()[text(before[n], "kind")+" "+text(before[n], "metadata", "name")]
				if s.knowsMore(after[n], said) {
					if refused := text(got, "metadata", "annotations", refusedAnnotation); !injected(got) && refused == "" && !strings.HasPrefix(said, "unchanged ") {
						t.Errorf("the pod has neither the sidecar nor a reason:\n%s", pretty(got))
					}
					continue
				}
				want, _, err := create(plain, podBy(after[n]), true)
				if err != nil {
					t.Fatalf("as the golden says: %v", err)
				}
				compared++
				if reason, refused := strings.CutPrefix(said, "refused "); refused {
					noted := text(got, "metadata", "annotations", refusedAnnotation)
					if !strings.HasSuffix(reason, ": "+noted) {
						t.Errorf("the pod's reason is %q; the command said: %s", noted, said)
					}
				}
				if a, b := pretty(comparably(want)), pretty(comparably(got)); a != b {
					t.Errorf("%s: the webhook's pod is not the golden's: %s", text(before[n], "kind"), difference(a, b))
				}
			}
		})
	}
	t.Logf("%d pods were compared", compared)
	if compared < 50 {
		t.Error("too few to show anything")
	}
}

// knowsMore reports whether the command knew what the webhook cannot: a Service,
// a Namespace that is another than the test's, options that it was given, how many
// pods there are to be, or that a StatefulSet may have a volume added.
func (s shape) knowsMore(golden object, said string) bool {
	in := s.sections["in"]
	return strings.Contains(in, "kind: Service\n") || strings.Contains(in, "kind: Namespace\n") || strings.Contains(s.comment, "\ndefault ") || strings.Contains(said, "several pods") ||
		strings.Contains(pretty(golden["spec"]), `"name": "countersign-ledger"`) && text(golden, "kind") == "StatefulSet"
}

// comparably is a pod without what legitimately differs: the digest of the options,
// the pull policy, which the chart sets, random names, and whether the service
// account's volume was added before the sidecar's or after them.
func comparably(pod object) object {
	pod = anonymous(submitted(pod))
	sortByName(pod["spec"].(object), "volumes")
	for _, key := range []string{"initContainers", "containers"} {
		for _, c := range list(pod, "spec", key) {
			sortByName(c, "volumeMounts")
		}
	}
	if annotations, ok := dig(pod, "metadata", "annotations").(object); ok {
		if annotations[statusAnnotation] != nil {
			annotations[statusAnnotation] = "present"
		}
		delete(annotations, refusedAnnotation)
		if len(annotations) == 0 {
			delete(pod["metadata"].(object), "annotations")
		}
	}
	if c, _ := sidecar(pod); c != nil {
		delete(c, "imagePullPolicy")
	}
	return pod
}

// sortByName sorts the objects in a list of an object, if there is one.
func sortByName(o object, key string) {
	items, _ := o[key].([]any)
	slices.SortStableFunc(items, func(a, b any) int { return strings.Compare(text(a, "name"), text(b, "name")) })
}
