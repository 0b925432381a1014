package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"
	kyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// TestShapesKeepWhatIsPromised reads what the shapes are and become as kubectl does.
func TestShapesKeepWhatIsPromised(t *testing.T) {
	files, err := filepath.Glob("../testdata/shapes/*.txtar")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d shapes: %v", len(files), err)
	}
	changed := 0
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sections := map[string][]byte{}
			for _, f := range archive.Files {
				sections[f.Name] = f.Data
			}
			injected := bytes.Count(sections["said"], []byte("injected "))
			if sections["out"] == nil {
				if injected > 0 {
					t.Error("it is said to be injected, and nothing has changed")
				}
				return
			}
			changed++
			if pods := compareStreams(t, sections["in"], sections["out"]); pods != injected {
				t.Errorf("%d pods have changed, and %d are said to be injected", pods, injected)
			}
		})
	}
	if changed < 30 {
		t.Errorf("only %d shapes are injected", changed)
	}
}

// found are the objects of a stream, by Kubernetes' own types.
type found struct {
	templates map[string]corev1.PodTemplateSpec
	strict    map[string][]error // fields of templates that Kubernetes does not know
	services  []corev1.Service
	others    []any
}

func newFound() *found {
	return &found{templates: map[string]corev1.PodTemplateSpec{}, strict: map[string][]error{}}
}

// read takes a stream apart.
func read(t testing.TB, stream []byte) *found {
	t.Helper()
	f := newFound()
	reader := kyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return f
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := yaml.YAMLToJSON(document)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if o, ok := anyOf(t, text).(map[string]any); ok {
			f.object(t, o)
		}
	}
}

// templates are where the kinds have the pod's template.
var templates = map[string][]string{
	"v1 Pod": {}, "v1 ReplicationController": {"spec", "template"}, "apps/v1 Deployment": {"spec", "template"}, "apps/v1 ReplicaSet": {"spec", "template"},
	"apps/v1 StatefulSet": {"spec", "template"}, "apps/v1 DaemonSet": {"spec", "template"}, "batch/v1 Job": {"spec", "template"},
	"batch/v1 CronJob": {"spec", "jobTemplate", "spec", "template"},
}

func (f *found) object(t testing.TB, o map[string]any) {
	t.Helper()
	kind := fmt.Sprint(o["apiVersion"], " ", o["kind"])
	below, isWorkload := templates[kind]
	switch {
	case kind == "v1 List":
		for _, item := range o["items"].([]any) {
			f.object(t, item.(map[string]any))
		}
	case kind == "v1 Service":
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var s corev1.Service
		if err := kjson.UnmarshalCaseSensitivePreserveInts(text, &s); err != nil {
			t.Fatal(err)
		}
		f.services = append(f.services, s)
	case isWorkload:
		template := any(o)
		for _, step := range below {
			template = template.(map[string]any)[step]
		}
		meta := o["metadata"].(map[string]any)
		f.template(t, fmt.Sprint(kind, " ", meta["namespace"], "/", meta["name"], meta["generateName"]), template)
	default:
		f.others = append(f.others, o)
	}
}

func (f *found) template(t testing.TB, key string, template any) {
	t.Helper()
	text, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		APIVersion             string          `json:"apiVersion,omitempty"`
		Kind                   string          `json:"kind,omitempty"`
		Status                 json.RawMessage `json:"status,omitempty"`
		corev1.PodTemplateSpec `json:",inline"`
	}
	strict, err := kjson.UnmarshalStrict(text, &p)
	if err != nil {
		t.Fatalf("%s is no pod: %v\n%s", key, err, text)
	}
	f.templates[key], f.strict[key] = p.PodTemplateSpec, strict
}

// compareStreams checks what is promised of every stream that was injected, and returns the number of
// pods that have changed.
func compareStreams(t *testing.T, in, out []byte) (changed int) {
	t.Helper()
	before, after := read(t, in), read(t, out)
	if !reflect.DeepEqual(before.others, after.others) {
		t.Errorf("objects of other kinds have changed: %v, %v", before.others, after.others)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(before.templates)), slices.Sorted(maps.Keys(after.templates))) {
		t.Fatalf("other objects than before: %v", slices.Collect(maps.Keys(after.templates)))
	}
	for key, was := range before.templates {
		is := after.templates[key]
		if fmt.Sprint(after.strict[key]) != fmt.Sprint(before.strict[key]) {
			t.Errorf("%s has fields that Kubernetes does not know: %v, before %v", key, after.strict[key], before.strict[key])
		}
		if reflect.DeepEqual(was, is) {
			continue
		}
		changed++
		comparePods(t, was, is)
		for i, s := range before.services {
			compareService(t, was, is, s, after.services[i])
		}
	}
	return changed
}
