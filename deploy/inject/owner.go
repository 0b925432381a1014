package inject

import (
	"cmp"
	"strings"
)

// OwnerOf says what a pod belongs to by what it says itself, which is all that
// a webhook knows. The namespace is the request's, as a new pod need not name it.
func OwnerOf(text []byte, namespace string) (Owner, error) {
	p, err := decode(text)
	if err != nil {
		return Owner{}, err
	}
	return p.owner(namespace), nil
}

func (p *pod) owner(namespace string) Owner {
	m := p.Metadata
	o := Owner{Kind: "Pod", Namespace: cmp.Or(namespace, m.Namespace), Name: cmp.Or(m.Name, strings.TrimRight(m.GenerateName, "-"))}
	for _, ref := range m.OwnerReferences {
		if ref.Controller {
			o.Kind, o.Name = ref.Kind, ref.Name
		}
	}
	// A ReplicaSet of a Deployment is named after it and the hash that its pods have as a label.
	if name, ok := strings.CutSuffix(o.Name, "-"+m.Labels["pod-template-hash"]); ok && o.Kind == "ReplicaSet" && m.Labels["pod-template-hash"] != "" {
		o.Kind, o.Name = "Deployment", name
	}
	// A Job of a CronJob is named after it and the minute.
	if o.Kind == "Job" {
		if i := strings.LastIndexByte(o.Name, '-'); i > 0 && len(o.Name)-i-1 == 8 && strings.Trim(o.Name[i+1:], "0123456789") == "" {
			o.Kind, o.Name = "CronJob", o.Name[:i]
		}
	}
	return o
}

// kind is what to call the owner in a sentence.
func (o Owner) kind() string { return cmp.Or(o.Kind, "workload") }
