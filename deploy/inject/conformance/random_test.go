package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/deploy/inject/manifest"
)

// TestRandomPods injects pods with anything in them that Kubernetes' types have. A patch must apply, by
// another implementation than the product's, and give what the manifest becomes in YAML; the pod must still be
// one that Kubernetes knows, and be the same as before but for what is documented; and a
// second time nothing may change.
func TestRandomPods(t *testing.T) {
	pods := uint64(400)
	if testing.Short() {
		pods = 60
	}
	injected := uint64(0)
	for seed := range pods {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			if tryPod(t, seed) {
				injected++
			}
		})
	}
	if injected < pods/5 {
		t.Errorf("of %d pods at random only %d could be injected", pods, injected)
	}
}

// tryPod says whether the pod could be injected.
func tryPod(t *testing.T, seed uint64) bool {
	pod := randomPod(seed)
	text, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	o := inject.Defaults()
	o.Native = seed%4 != 0
	o.Version = "v1"
	owner := inject.Owner{Kind: "Pod", Name: pod.Name, Namespace: pod.Namespace, Manifest: true}
	result, err := inject.Pod(text, owner, o)
	if refusal, ok := errors.AsType[*inject.Refusal](err); ok {
		if refusal.Reason == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("a refusal without a reason, or of several lines: %q", err)
		}
		unchanged(t, text, o)
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	patched := patchedJSON(t, text, result.Patch)
	checkPatched(t, text, patched)
	checkManifest(t, text, patched, o)
	again, err := inject.Pod(patched, owner, o)
	if err != nil || again.Changed() || len(again.Warnings) > 0 {
		t.Errorf("a second time: %v, %v, %v", err, again.Patch, again.Warnings)
	}
	return result.Changed()
}

func unchanged(t *testing.T, text []byte, o inject.Options) {
	t.Helper()
	out, _, err := manifest.Inject(text, o)
	if err != nil || !bytes.Equal(out, text) {
		t.Errorf("a pod that was refused has changed: %v\n%s\n%s", err, text, out)
	}
}

func checkPatched(t *testing.T, before, after []byte) {
	t.Helper()
	f := newFound()
	f.template(t, "before", anyOf(t, before))
	f.template(t, "after", anyOf(t, after))
	if len(f.strict["after"]) > 0 {
		t.Errorf("fields that Kubernetes does not know: %v", f.strict["after"])
	}
	if !reflect.DeepEqual(f.templates["before"], f.templates["after"]) {
		comparePods(t, f.templates["before"], f.templates["after"])
	}
}

// checkManifest injects the pod as JSON, as YAML in one line, and as YAML.
func checkManifest(t *testing.T, text, patched []byte, o inject.Options) {
	t.Helper()
	want := anyOf(t, patched)
	lines, err := yaml.JSONToYAML(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, written := range [][]byte{text, slices.Concat([]byte("--- # in one line\n"), text, []byte("\n")), lines} {
		out, notices, err := manifest.Inject(written, o)
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		have, err := yaml.YAMLToJSON(out)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if !reflect.DeepEqual(anyOf(t, have), want) {
			t.Errorf("the manifest does not become what the patch makes of the pod: %v\n%s\n%s", notices, out, patched)
		}
	}
}

func anyOf(t testing.TB, text []byte) (v any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// patchedJSON applies a patch as RFC 6902 has it, with no code of the product.
func patchedJSON(t *testing.T, text []byte, patch []inject.Operation) []byte {
	t.Helper()
	doc := anyOf(t, text)
	for _, op := range patch {
		var value any
		var err error
		if op.Op != "remove" {
			value = anyOf(t, op.Value)
		}
		if doc, err = patched(doc, strings.Split(op.Path, "/")[1:], op.Op, value); err != nil {
			t.Fatalf("%s %s: %v\n%s", op.Op, op.Path, err, text)
		}
	}
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func patched(in any, steps []string, op string, value any) (any, error) {
	if len(steps) == 0 {
		return value, nil
	}
	step := strings.NewReplacer("~1", "/", "~0", "~").Replace(steps[0])
	switch in := in.(type) {
	case map[string]any:
		old, ok := in[step]
		if !ok && (len(steps) > 1 || op != "add") {
			return nil, fmt.Errorf("there is no %q", step)
		}
		if len(steps) == 1 && op == "remove" {
			delete(in, step)
			return in, nil
		}
		v, err := patched(old, steps[1:], op, value)
		in[step] = v
		return in, err
	case []any:
		if step == "-" && len(steps) == 1 && op == "add" {
			return append(in, value), nil
		}
		i, err := strconv.Atoi(step)
		if err != nil || i >= len(in) || i < 0 {
			return nil, fmt.Errorf("there is no element %q of %d", step, len(in))
		}
		if len(steps) == 1 && op == "add" {
			return slices.Insert(in, i, value), nil
		}
		in[i], err = patched(in[i], steps[1:], op, value)
		return in, err
	}
	return nil, fmt.Errorf("%q is asked of what has no members", step)
}

// randomPod has anything in any field, and a few values where they matter, so that names and
// numbers meet.
func randomPod(seed uint64) *corev1.Pod {
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	name := func() string { return pick("http", "web", "grpc", "metrics", "http-app", "a-long-name-now") }
	number := func() int32 { return []int32{80, 8080, 8081, 9090, 15080, 5432}[r.IntN(6)] }
	fill := randfill.New().RandSource(rand64{r}).NilChance(0.6).NumElements(1, 3).MaxDepth(12).Funcs(
		func(s *string, c randfill.Continue) {
			*s = pick("", "a", "b c", "x: y", "# no", "'", "\"", "yes", "0x1f", "1e3", "2030-01-01", "line\nline\n", " lead", "trail ", "é€", "$(A)", "-", "{}", "null", "~", "\ttab")
		},
		func(p *corev1.ContainerPort, c randfill.Continue) {
			*p = corev1.ContainerPort{Name: pick("", name()), ContainerPort: number(), Protocol: corev1.Protocol(pick("", "TCP", "UDP"))}
		},
		func(p *intstr.IntOrString, c randfill.Continue) {
			*p = intstr.FromInt32(number())
			if r.IntN(2) == 0 {
				*p = intstr.FromString(name())
			}
		},
		func(q *resource.Quantity, c randfill.Continue) {
			*q = resource.MustParse(pick("1", "100m", "64Mi", "0.5"))
		},
		func(m *metav1.ObjectMeta, c randfill.Continue) {
			*m = metav1.ObjectMeta{Name: pick("", "one"), Namespace: pick("", "shop"), Labels: map[string]string{"app": "a"}}
			if r.IntN(2) == 0 {
				m.Annotations = randomAnnotations(r, pick)
			}
		},
		func(tm *metav1.Time, c randfill.Continue) {},
		func(s *corev1.PodStatus, c randfill.Continue) {},
		func(s *corev1.PodOS, c randfill.Continue) {
			s.Name = corev1.OSName(pick("linux", "linux", "linux", "windows"))
		},
		func(s *metav1.TypeMeta, c randfill.Continue) { *s = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"} },
		func(w *corev1.WindowsSecurityContextOptions, c randfill.Continue) {},
	)
	var p corev1.Pod
	fill.Fill(&p)
	p.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
	p.Spec.HostNetwork = r.IntN(10) == 0
	if sc := p.Spec.SecurityContext; sc != nil && r.IntN(10) > 0 {
		sc.WindowsOptions = nil
	}
	for len(p.Spec.Containers) == 0 {
		fill.Fill(&p.Spec.Containers)
	}
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			list[i].Name = fmt.Sprint("c", i)
		}
	}
	if r.IntN(3) > 0 { // most pods have one port
		for i := range p.Spec.Containers {
			p.Spec.Containers[i].Ports = nil
		}
		p.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: pick("", "http", "web"), ContainerPort: number()}}
	}
	return &p
}

func randomAnnotations(r *rand.Rand, pick func(...string) string) map[string]string {
	all := map[string]string{"example.com/a~b": pick("", "x")}
	for _, one := range [][2]string{
		{"sensor", pick("proxy", "ebpf")}, {"port", pick("http", "web", "8080", "")}, {"ledger", pick("auto", "emptyDir")}, {"metrics", "true"}, {"config", "c"},
		{"secret", "s"}, {"policy", "p"}, {"native", pick("true", "false")}, {"ledger-claim", "claim"}, {"inject", pick("enabled", "enabled", "disabled")}, {"window", "30s"}, {"nonsense", "1"}, {"refused", pick("", "it has no port")},
	} {
		if r.IntN(8) == 0 {
			all[inject.Prefix+one[0]] = one[1]
		}
	}
	return all
}

// rand64 is a source as randfill wants it.
type rand64 struct{ *rand.Rand }

func (r rand64) Int63() int64 { return r.Int64() }
func (r rand64) Seed(int64)   {}
