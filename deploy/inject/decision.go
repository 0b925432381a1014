package inject

import "github.com/countersign-dev/countersign/config"

// decision is how a pod that has no sidecar gets one.
type decision struct {
	pod     *pod
	owner   Owner
	o       Options
	port    place
	ledger  keeping
	volumes []volume
}

// decide makes the decision, or refuses.
func decide(p *pod, owner Owner, o Options) (d decision, err error) {
	d = decision{pod: p, owner: owner, o: o, volumes: o.volumes()}
	if err := suits(p, owner, o); err != nil {
		return d, err
	}
	if d.port, err = findPort(p, o.Port, owner.TargetPorts); err != nil {
		return d, err
	}
	if err := checkPorts(p, o); err != nil {
		return d, err
	}
	if err := checkFlags(o, owner, d.port.port.ContainerPort); err != nil {
		return d, err
	}
	if err := checkResources(p.sidecarResources(o)); err != nil {
		return d, err
	}
	if d.ledger, err = keepLedger(p, owner, o); err != nil {
		return d, err
	}
	if d.ledger.volume != nil {
		d.volumes = append([]volume{*d.ledger.volume}, d.volumes...)
	}
	if name := clash(p, d.volumes); name != "" {
		return d, &Refusal{"the pod has a volume named " + name + " of its own", "give it another name"}
	}
	return d, nil
}

// result carries the decision out.
func (d decision) result() Result {
	r := Result{Patch: d.patch(), ClaimTemplate: d.ledger.template}
	if d.proxies() {
		r.Port, r.Listen = d.port.port.ContainerPort, d.o.Listen
	}
	for _, text := range []string{d.port.warning(d.o, d.owner), d.o.warning(d.pod), d.ledger.warning, d.pod.loses(d.o), d.pod.shares(d.o)} {
		if text != "" {
			r.Warnings = append(r.Warnings, text)
		}
	}
	return r
}

func (d decision) proxies() bool { return d.o.Sensor != config.SensorEBPF }

func (d decision) patch() patch {
	var edit patch
	edit.annotate(d.pod, StatusAnnotation, d.o.status())
	if _, noted := d.pod.Metadata.Annotations[RefusedAnnotation]; noted { // of a pod that this one was copied from, or before its reason was mended
		edit.remove("metadata", "annotations", RefusedAnnotation)
	}
	if d.proxies() {
		edit.takeOver(d.pod, d.port, d.o.Listen)
	}
	list, length := "containers", len(d.pod.Spec.Containers)
	if d.o.Native {
		list, length = "initContainers", len(d.pod.Spec.InitContainers)
	}
	c := sidecar(d.o, d.owner, d.port.port.ContainerPort, d.pod.sidecarResources(d.o), d.ledger.mount)
	extend(&edit, length, []container{c}, "spec", list)
	extend(&edit, len(d.pod.Spec.Volumes), d.volumes, "spec", "volumes")
	if d.ledger.fsGroup {
		edit.groupFiles(d.pod)
	}
	return edit
}
