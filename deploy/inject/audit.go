package inject

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Audit finds pods that should carry the sidecar and do not. The zero value is ready for use;
// it is not safe for concurrent use.
type Audit struct {
	wanted map[string]bool // namespaces, and whether they ask for the sidecar
	pods   []Missing       // without a Reason where they carry it
}

// Missing is a pod without its sidecar.
type Missing struct {
	Namespace string `json:"namespace"`
	Pod       string `json:"pod"`
	// Owner is KIND/NAME of what the pod belongs to.
	Owner string `json:"owner"`
	// Reason is a clause.
	Reason string `json:"reason"`
}

// Report is what an audit has found.
type Report struct {
	// Namespaces is the number of those that ask for the sidecar, Pods that of the pods in
	// them which have neither ended nor asked to be left out. What is being deleted does not count.
	Namespaces int       `json:"namespaces"`
	Pods       int       `json:"pods"`
	Missing    []Missing `json:"missing"`
}

// unaudited are namespaces in which no sidecar is injected whatever their labels.
var unaudited = []string{"kube-system", "kube-public", "kube-node-lease"}

// Read takes in a list of namespaces, of pods, or of both, as kubectl get -o json writes it and the
// API server answers. It may be called for any number of lists, in any order.
func (a *Audit) Read(list io.Reader) error {
	var whole struct {
		Kind  string            `json:"kind"`
		Items []json.RawMessage `json:"items"`
	}
	if err := json.NewDecoder(list).Decode(&whole); errors.Is(err, io.EOF) {
		return errors.New("the list is empty: it must be what kubectl get namespaces,pods -A -o json writes")
	} else if err != nil {
		return fmt.Errorf("cannot read the list: %w; it must be what kubectl get namespaces,pods -A -o json writes", err)
	}
	kind, ok := strings.CutSuffix(whole.Kind, "List")
	if !ok {
		return fmt.Errorf("the list is of the kind %q: it must be what kubectl get namespaces,pods -A -o json writes", whole.Kind)
	}
	for _, item := range whole.Items {
		if err := a.take(kind, item); err != nil {
			return err
		}
	}
	return nil
}

// take notes one object. Those of lists of one kind do not name it.
func (a *Audit) take(kind string, item []byte) error {
	var p struct {
		pod
		Status struct {
			Phase string `json:"phase"`
		} `json:"status"`
	}
	if err := json.Unmarshal(item, &p); err != nil {
		return fmt.Errorf("cannot read an object of the list: %w", err)
	}
	m := p.Metadata
	if m == nil {
		return errors.New("an object of the list has no metadata")
	}
	if a.wanted == nil {
		a.wanted = map[string]bool{}
	}
	switch cmp.Or(p.Kind, kind) {
	case "Namespace":
		a.wanted[m.Name] = m.Labels[Label] == Enabled && m.DeletionTimestamp == "" && !slices.Contains(unaudited, m.Name)
	case "Pod":
		_, static := m.Annotations["kubernetes.io/config.mirror"]
		if p.declines() || static || m.DeletionTimestamp != "" || p.Status.Phase == "Succeeded" || p.Status.Phase == "Failed" {
			return nil
		}
		one := Missing{Namespace: m.Namespace, Pod: m.Name}
		if !p.carries() {
			owner := p.owner("")
			one.Owner = owner.Kind + "/" + owner.Name
			one.Reason = cmp.Or(m.Annotations[RefusedAnnotation], "the webhook has not seen it: it was down, or the pod is older; replace the pod")
		}
		a.pods = append(a.pods, one)
	}
	return nil
}

// Report judges the pods of the namespaces that ask for the sidecar. It is an error
// if a pod's namespace was in no list.
func (a *Audit) Report() (Report, error) {
	r := Report{Missing: []Missing{}}
	for _, wanted := range a.wanted {
		if wanted {
			r.Namespaces++
		}
	}
	for _, p := range a.pods {
		wanted, known := a.wanted[p.Namespace]
		switch {
		case !known:
			return Report{}, fmt.Errorf("the namespace %s of the pod %s is in no list: ask for namespaces as well, with kubectl get namespaces,pods -A -o json", p.Namespace, p.Pod)
		case !wanted:
			continue
		}
		r.Pods++
		if p.Reason != "" {
			r.Missing = append(r.Missing, p)
		}
	}
	slices.SortFunc(r.Missing, func(a, b Missing) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Pod, b.Pod))
	})
	return r, nil
}
