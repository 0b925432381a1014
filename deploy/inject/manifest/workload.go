package manifest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/countersign-dev/countersign/deploy/inject"
)

// workload notes an object with pods.
func (s *set) workload(at object, h header, below string, text json.RawMessage) error {
	w := &workload{object: at, template: below}
	w.notice.Object = h.Kind + " " + h.name()
	if h.Metadata.Namespace != "" {
		w.notice.Object = h.Kind + " " + h.Metadata.Namespace + "/" + h.name()
	}
	w.whole = text
	w.header = h
	template, err := dig(text, below)
	if err != nil {
		return fmt.Errorf("%s: %w", w.notice.Object, err)
	}
	w.text = template
	var labelled header
	if err := json.Unmarshal(template, &labelled); err != nil {
		return fmt.Errorf("%s: cannot read its pods' labels: %w", w.notice.Object, err)
	}
	w.labels = labelled.Metadata.Labels
	if below != "" {
		for key := range h.Metadata.Annotations {
			if strings.HasPrefix(key, inject.Prefix) {
				w.warn("annotations of the " + h.Kind + " itself, such as " + key + ", say nothing: they belong to its pods, in " + strings.ReplaceAll(below[1:], "/", ".") + ".metadata")
				break
			}
		}
	}
	s.workloads = append(s.workloads, w)
	return nil
}

func (h header) name() string {
	return cmp.Or(h.Metadata.Name, strings.TrimRight(h.Metadata.GenerateName, "-"))
}

// dig returns what a pointer of member names leads to.
func dig(text json.RawMessage, pointer string) (json.RawMessage, error) {
	for _, step := range inject.Steps(pointer) {
		var members map[string]json.RawMessage
		if err := json.Unmarshal(text, &members); err != nil || members[step] == nil {
			return nil, fmt.Errorf("it has no %s", strings.ReplaceAll(pointer[1:], "/", "."))
		}
		text = members[step]
	}
	return text, nil
}

// namespace is empty where the manifest leaves it to the one who applies it.
func (w *workload) namespace() string { return w.header.Metadata.Namespace }

func (w *workload) owner() (inject.Owner, error) {
	o := inject.Owner{Kind: w.header.Kind, Name: w.header.name(), Namespace: w.namespace(), Manifest: true}
	if w.template == "" { // a pod is one
		return o, nil
	}
	var of struct {
		Spec struct {
			Replicas *int32 `json:"replicas"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(w.whole, &of); err != nil {
		return inject.Owner{}, fmt.Errorf("%s: cannot read its number of replicas: %w", w.notice.Object, err)
	}
	o.Replicas = of.Spec.Replicas
	return o, nil
}

// claim gives a StatefulSet the template of the claim that its pods mount.
func (w *workload) claim() {
	if w.result.ClaimTemplate == nil {
		return
	}
	var set struct {
		Spec struct {
			Templates []json.RawMessage `json:"volumeClaimTemplates"`
		} `json:"spec"`
	}
	const path = "/spec/volumeClaimTemplates"
	if json.Unmarshal(w.whole, &set) == nil && len(set.Spec.Templates) > 0 {
		w.patch("", []inject.Operation{{Op: "add", Path: path + "/-", Value: w.result.ClaimTemplate}})
		return
	}
	one := slices.Concat([]byte("["), w.result.ClaimTemplate, []byte("]"))
	w.patch("", []inject.Operation{{Op: "add", Path: path, Value: one}})
}
