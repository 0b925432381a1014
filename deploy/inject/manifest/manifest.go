// Package manifest puts the sidecar into streams of Kubernetes manifests, in YAML or JSON,
// and leaves everything else in them as it is written.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/countersign-dev/countersign/deploy/inject"
)

// Outcome is what became of an object with pods.
type Outcome string

// The outcomes.
const (
	Injected  Outcome = "injected"
	Unchanged Outcome = "unchanged" // carries the sidecar already, or asks to be left out
	Refused   Outcome = "refused"
)

// Notice is what is to be said of one object.
type Notice struct {
	Outcome Outcome
	// Object is KIND NAMESPACE/NAME.
	Object string
	// Reason says why an object was refused.
	Reason   string
	Warnings []string
	// Port was the API's, and Listen stands in for it; both are 0 where none was taken over.
	Port, Listen int32
}

// Inject returns a stream of documents with the sidecar in each object that has
// pods, and what became of each. An error is of the stream: nothing is returned then.
func Inject(stream []byte, defaults inject.Options) ([]byte, []Notice, error) {
	s := &set{defaults: defaults}
	for _, c := range split(stream) {
		d, err := parse(c)
		if err != nil {
			return nil, nil, err
		}
		if err := s.take(d); err != nil {
			return nil, nil, err
		}
	}
	if err := s.inject(); err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	for _, d := range s.documents {
		text, err := d.edited()
		if err != nil {
			return nil, nil, err
		}
		out.Write(text)
	}
	return out.Bytes(), s.notices(), nil
}

// set is all objects of a stream, as some say how others are to be injected.
type set struct {
	defaults   inject.Options
	documents  []*document
	workloads  []*workload
	services   []*service
	namespaces map[string]string // the Pod Security level that each enforces
}

// workload is an object with pods.
type workload struct {
	object
	header   header
	whole    json.RawMessage // the object
	template string          // a pointer to the pods' template in it
	text     json.RawMessage // the template
	labels   map[string]string
	result   inject.Result
	notice   Notice
}

type service struct {
	object
	*inject.Service
}

// object is where one stands.
type object struct {
	document *document
	path     string // a pointer
}

// patch adds operations, whose paths begin at the object.
func (o object) patch(below string, operations []inject.Operation) {
	for _, op := range operations {
		op.Path = o.path + below + op.Path
		o.document.patch = append(o.document.patch, op)
	}
}

// header is what an object says of itself.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name         string            `json:"name"`
		GenerateName string            `json:"generateName"`
		Namespace    string            `json:"namespace"`
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// templates are where the kinds have the pod's template, or what stands for one.
var templates = map[string]string{
	"v1 Pod":                   "",
	"v1 PodTemplate":           "/template",
	"v1 ReplicationController": "/spec/template",
	"apps/v1 Deployment":       "/spec/template",
	"apps/v1 ReplicaSet":       "/spec/template",
	"apps/v1 StatefulSet":      "/spec/template",
	"apps/v1 DaemonSet":        "/spec/template",
	"batch/v1 Job":             "/spec/template",
	"batch/v1 CronJob":         "/spec/jobTemplate/spec/template",
}

// take finds the objects of a document.
func (s *set) take(d *document) error {
	s.documents = append(s.documents, d)
	if d.root == nil {
		return nil
	}
	said, err := content(d.root)
	if err != nil {
		return d.in(err)
	}
	text, err := json.Marshal(said)
	if err != nil {
		return d.in(err)
	}
	return s.object(object{document: d}, text)
}

func (s *set) object(at object, text json.RawMessage) error {
	var h header
	if json.Unmarshal(text, &h) != nil {
		return nil // nothing of Kubernetes, which is passed on
	}
	switch kind := h.APIVersion + " " + h.Kind; kind {
	case "v1 List":
		for i, item := range h.Items {
			if err := s.object(object{at.document, fmt.Sprintf("%s/items/%d", at.path, i)}, item); err != nil {
				return err
			}
		}
	case "v1 Namespace":
		if s.namespaces == nil {
			s.namespaces = map[string]string{}
		}
		s.namespaces[h.Metadata.Name] = h.Metadata.Labels["pod-security.kubernetes.io/enforce"]
	case "v1 Service":
		one, err := inject.ReadService(text)
		if err != nil {
			return at.document.in(err)
		}
		s.services = append(s.services, &service{at, one})
	default:
		if below, ok := templates[kind]; ok {
			return s.workload(at, h, below, text)
		}
	}
	return nil
}

func (s *set) inject() error {
	for _, w := range s.workloads {
		if err := s.pod(w); err != nil {
			return err
		}
	}
	for _, one := range s.services {
		s.service(one)
	}
	return nil
}

// pod injects one workload.
func (s *set) pod(w *workload) error {
	owner, err := w.owner()
	if err != nil {
		return err
	}
	owner.PodSecurity = s.namespaces[owner.Namespace]
	for _, one := range s.services {
		if one.Selects(owner.Namespace, w.labels) {
			owner.TargetPorts = append(owner.TargetPorts, one.TargetPorts()...)
		}
	}
	w.result, err = inject.Pod(w.text, owner, s.defaults)
	if refusal, ok := errors.AsType[*inject.Refusal](err); ok {
		w.notice.Outcome, w.notice.Reason = Refused, refusal.Error()
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.notice.Object, err)
	}
	w.notice.Warnings = append(w.notice.Warnings, w.result.Warnings...)
	if !w.result.Changed() {
		w.notice.Outcome = Unchanged
		return nil
	}
	w.notice.Outcome, w.notice.Port, w.notice.Listen = Injected, w.result.Port, w.result.Listen
	w.patch(w.template, w.result.Patch)
	w.claim()
	return nil
}

// service has a Service that leads to a number lead to the sidecar's.
func (s *set) service(one *service) {
	var taken, left []*workload
	for _, w := range s.workloads {
		if !one.Selects(w.namespace(), w.labels) {
			continue
		}
		if w.result.Changed() && w.result.Listen != 0 && one.LeadsTo(w.result.Port) {
			taken = append(taken, w)
		} else if w.result.Listen == 0 {
			left = append(left, w)
		}
	}
	if len(taken) == 0 {
		return
	}
	first := taken[0]
	for _, w := range taken {
		if len(left) > 0 || w.result.Port != first.result.Port || w.result.Listen != first.result.Listen {
			w.warn("the Service " + one.Name + " leads to its port by number, and to pods without the sidecar too: it is left, and goes past the sidecar; have it lead to a port's name")
			return
		}
	}
	one.patch("", one.Retarget(first.result.Port, first.result.Listen))
	if one.Headless {
		first.warn("the Service " + one.Name + " is headless: clients that take the port's number from elsewhere than its SRV records go past the sidecar")
	}
}

func (w *workload) warn(text string) { w.notice.Warnings = append(w.notice.Warnings, text) }

func (s *set) notices() (all []Notice) {
	for _, w := range s.workloads {
		all = append(all, w.notice)
	}
	return all
}

// Text says in a clause what became of the object; empty where the outcome says it all.
func (n Notice) Text() string {
	switch {
	case n.Outcome == Refused:
		return n.Reason
	case n.Listen != 0:
		return fmt.Sprintf("port %d stands in for %d", n.Listen, n.Port)
	}
	return ""
}
