// Package inject puts the sidecar into Kubernetes pods: one pure function
// from a pod to the patch that adds it, used by the command line for manifests and by
// the admission webhook for pods.
//
// Pods are read by structs of our own that know only the fields looked at, and changed
// by JSON patches, so that fields this version has never heard of are kept as
// they are. The types of k8s.io/api serve the tests alone: linked in, they would add a
// quarter to the sidecar's binary (6.6 MB) and 1 to 2 MiB to its memory.
//
// Everything here is safe for concurrent use.
package inject

import "encoding/json"

// The names by which a pod and a namespace speak of the sidecar.
const (
	// Prefix begins every annotation and label read here.
	Prefix = "countersign.dev/"
	// Label on a namespace, with the value Enabled, asks for the sidecar in its pods.
	// As a label or an annotation of a pod it may be Disabled.
	Label    = Prefix + "inject"
	Enabled  = "enabled"
	Disabled = "disabled"
	// StatusAnnotation marks a pod that carries the sidecar: the version
	// that injected it and the digest of its options.
	StatusAnnotation = Prefix + "status"
	// RefusedAnnotation has the reason why a pod was left without. A pod that gets the
	// sidecar loses it.
	RefusedAnnotation = Prefix + "refused"
	// Container is the sidecar's name among the pod's containers.
	Container = "countersign"
)

// Owner says what the pod belongs to, as far as it is known.
type Owner struct {
	// Kind is that of the object with the pod's template: Deployment, StatefulSet, Job, …, or Pod.
	Kind string
	// Name is the workload's, which becomes the service's unless an option names it.
	Name      string
	Namespace string
	// Manifest says that the object itself is at hand, so that a StatefulSet can be
	// given a volumeClaimTemplate.
	Manifest bool
	// Replicas is nil where it is not known, as for the webhook.
	Replicas *int32
	// PodSecurity is the level that the namespace enforces: privileged,
	// baseline, restricted, or empty when it is not known.
	PodSecurity string
	// TargetPorts are those of the Services that select the pod, where they are known: names, or
	// numbers in digits.
	TargetPorts []string
}

// Operation is one of RFC 6902: add, replace, or remove, which has no value.
type Operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Result is what became of a pod.
type Result struct {
	// Patch makes the pod carry the sidecar; empty when it does already or
	// does not want it.
	Patch []Operation
	// Warnings are sentences for the person who applies the pod.
	Warnings []string
	// Port is the API's own, and Listen the port that now stands in for it; both are 0
	// where no port was taken over.
	Port, Listen int32
	// ClaimTemplate is the volumeClaimTemplate that a StatefulSet has to have for
	// this patch; nil for none.
	ClaimTemplate json.RawMessage
}

// Changed says whether there is anything to do.
func (r Result) Changed() bool { return len(r.Patch) > 0 }

// Refusal is the error for a pod that cannot have the sidecar as it is.
type Refusal struct {
	// Reason and Mend are clauses: what is in the way, and how it can be helped, which is empty
	// where the reason says it.
	Reason, Mend string
}

func (r *Refusal) Error() string {
	if r.Mend == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Mend
}

// Pod returns the patch that gives the sidecar to a pod, or to a pod's template,
// whose JSON is given. What the pod's own annotations say goes before the defaults. A pod
// that carries the sidecar is left as it is.
//
// The error is a *Refusal when the pod is sound and cannot have the sidecar.
func Pod(text []byte, owner Owner, defaults Options) (Result, error) {
	p, err := decode(text)
	if err != nil {
		return Result{}, err
	}
	if p.declines() {
		return Result{}, nil
	}
	o, err := FromAnnotations(defaults, p.Metadata.Annotations)
	if err != nil {
		return Result{}, &Refusal{Reason: err.Error()}
	}
	if p.carries() {
		return Result{Warnings: p.outdated(o)}, nil
	}
	d, err := decide(p, owner, o)
	if err != nil {
		return Result{}, err
	}
	return d.result(), nil
}

// Refused returns the patch that notes on a pod why it was left without the sidecar.
func Refused(text []byte, reason string) ([]Operation, error) {
	p, err := decode(text)
	if err != nil || p.Metadata.Annotations[RefusedAnnotation] == reason {
		return nil, err
	}
	var edit patch
	edit.annotate(p, RefusedAnnotation, reason)
	return edit, nil
}
