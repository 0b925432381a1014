// Package conformance holds what injection makes of pods against Kubernetes' own types and its own
// reading of manifests. It is apart from the packages that it tests because these types take a minute to compile, and
// many to compile for a fuzz target.
package conformance

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/countersign-dev/countersign/deploy/inject"
)

// comparePods checks that the containers of the pod are as they were, but
// for the port that is taken over.
func comparePods(t testing.TB, was, is corev1.PodTemplateSpec) {
	t.Helper()
	was, is = *was.DeepCopy(), *is.DeepCopy()
	sidecar := takeSidecar(&is.Spec)
	if sidecar == nil {
		t.Error("the pod has changed and has no sidecar")
		return
	}
	compareResources(t, was.Spec.Resources, sidecar.Resources)
	listen, api := portsOf(sidecar)
	if len(is.Spec.Containers) != len(was.Spec.Containers) {
		t.Errorf("%d containers besides the sidecar, before %d", len(is.Spec.Containers), len(was.Spec.Containers))
		return
	}
	for i := range was.Spec.Containers {
		a, b := &was.Spec.Containers[i], &is.Spec.Containers[i]
		compareActions(t, a, b)
		if len(b.Ports) > len(a.Ports) {
			restorePorts(t, a, b, listen, api)
		}
	}
	comparePodRest(t, &was, &is)
}

// takeSidecar removes the sidecar from the pod.
func takeSidecar(spec *corev1.PodSpec) (sidecar *corev1.Container) {
	for _, list := range []*[]corev1.Container{&spec.InitContainers, &spec.Containers} {
		for i, c := range *list {
			if c.Name == inject.Container {
				sidecar = c.DeepCopy()
				*list = slices.Delete(*list, i, i+1)
				break
			}
		}
	}
	return sidecar
}

// compareResources checks that the sidecar has nothing of its own of what the pod has for all containers, so
// that they come to no more than they did.
func compareResources(t testing.TB, pod *corev1.ResourceRequirements, own corev1.ResourceRequirements) {
	t.Helper()
	if pod == nil {
		return
	}
	for _, list := range []corev1.ResourceList{pod.Requests, pod.Limits} {
		for name := range list {
			_, requested := own.Requests[name]
			if _, limited := own.Limits[name]; requested || limited {
				t.Errorf("the sidecar has %s of its own, and the pod has it for all containers", name)
			}
		}
	}
}

// portsOf reads the sidecar's command line.
func portsOf(c *corev1.Container) (listen, api int32) {
	for _, arg := range c.Args {
		_, _ = fmt.Sscanf(arg, "--listen=:%d", &listen)
		_, _ = fmt.Sscanf(arg, "--upstream=http://127.0.0.1:%d", &api)
		_, _ = fmt.Sscanf(arg, "--upstream=https://127.0.0.1:%d", &api)
	}
	return listen, api
}

// compareActions checks that probes and hooks go where they went, and makes them the same.
func compareActions(t testing.TB, a, b *corev1.Container) {
	t.Helper()
	before, after := actions(a), actions(b)
	if len(before) != len(after) {
		t.Errorf("%d probes and hooks, before %d", len(after), len(before))
		return
	}
	for i := range before {
		was, is := number(a, *before[i]), number(b, *after[i])
		if was != is && was != 0 { // a name that led nowhere may be that of the API's own port now
			t.Errorf("a probe or hook of %s went to port %d and goes to %d", a.Name, was, is)
		}
		if *before[i] != *after[i] && was == 0 {
			t.Errorf("a probe or hook of %s that led nowhere was changed", a.Name)
		}
		*after[i] = *before[i]
	}
}

func actions(c *corev1.Container) (all []*intstr.IntOrString) {
	take := func(get *corev1.HTTPGetAction, socket *corev1.TCPSocketAction) {
		if get != nil {
			all = append(all, &get.Port)
		}
		if socket != nil {
			all = append(all, &socket.Port)
		}
	}
	for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p != nil {
			take(p.HTTPGet, p.TCPSocket)
		}
	}
	if c.Lifecycle != nil {
		for _, h := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if h != nil {
				take(h.HTTPGet, h.TCPSocket)
			}
		}
	}
	return all
}

// number resolves a port as the kubelet does, among the container's own; 0 for none.
func number(c *corev1.Container, p intstr.IntOrString) int32 {
	if p.Type == intstr.Int {
		return p.IntVal
	}
	for _, one := range c.Ports {
		if one.Name == p.StrVal {
			return one.ContainerPort
		}
	}
	return 0
}

// restorePorts checks the one container whose port was taken over, and gives it back.
func restorePorts(t testing.TB, a, b *corev1.Container, listen, api int32) {
	t.Helper()
	last := len(b.Ports) - 1
	if last != len(a.Ports) || b.Ports[last].ContainerPort != api {
		t.Errorf("ports %v, before %v", b.Ports, a.Ports)
		return
	}
	b.Ports = b.Ports[:last]
	for i := range b.Ports {
		if b.Ports[i].ContainerPort == listen && a.Ports[i].ContainerPort == api {
			b.Ports[i].ContainerPort = api
		}
	}
}

// comparePodRest checks that besides annotation, volumes and fsGroup nothing is left that differs.
func comparePodRest(t testing.TB, was, is *corev1.PodTemplateSpec) {
	t.Helper()
	delete(is.Annotations, inject.StatusAnnotation)
	if _, noted := is.Annotations[inject.RefusedAnnotation]; noted {
		t.Error("the pod has the sidecar, and the reason why it was refused")
	}
	delete(was.Annotations, inject.RefusedAnnotation)
	is.Spec.Volumes = slices.DeleteFunc(is.Spec.Volumes, func(v corev1.Volume) bool { return strings.HasPrefix(v.Name, "countersign-") })
	if sc := is.Spec.SecurityContext; sc != nil && (was.Spec.SecurityContext == nil || was.Spec.SecurityContext.FSGroup == nil) {
		sc.FSGroup = nil
		if was.Spec.SecurityContext == nil || was.Spec.SecurityContext.FSGroupChangePolicy == nil {
			sc.FSGroupChangePolicy = nil
		}
	}
	for _, p := range []*corev1.PodTemplateSpec{was, is} {
		if len(p.Annotations) == 0 {
			p.Annotations = nil
		}
		if len(p.Spec.Volumes) == 0 {
			p.Spec.Volumes = nil
		}
		if len(p.Spec.InitContainers) == 0 {
			p.Spec.InitContainers = nil
		}
		if p.Spec.SecurityContext != nil && reflect.DeepEqual(*p.Spec.SecurityContext, corev1.PodSecurityContext{}) {
			p.Spec.SecurityContext = nil
		}
	}
	if !reflect.DeepEqual(was, is) {
		a, _ := json.MarshalIndent(was, "", " ")
		b, _ := json.MarshalIndent(is, "", " ")
		t.Errorf("the pod has changed in what was not documented:\n%s", diff.Diff("before", a, "after", b))
	}
}

// compareService checks that what led to the API leads to the sidecar, and everything else
// where it led.
func compareService(t *testing.T, was, is corev1.PodTemplateSpec, before, after corev1.Service) {
	t.Helper()
	for key, v := range before.Spec.Selector {
		if was.Labels[key] != v {
			return
		}
	}
	spec := is.Spec.DeepCopy()
	listen, api := portsOf(takeSidecar(spec))
	for i := range before.Spec.Ports {
		from, to := resolve(was.Spec, before.Spec.Ports[i]), resolve(is.Spec, after.Spec.Ports[i])
		udp := before.Spec.Ports[i].Protocol == corev1.ProtocolUDP
		if want := from == api && listen != 0 && !udp && before.Namespace == is.Namespace && len(before.Spec.Selector) > 0; want && to != listen && !strings.HasPrefix(before.Name, "shared") {
			t.Errorf("the Service %s leads to port %d, and the sidecar's is %d", before.Name, to, listen)
		} else if from != api && to != from {
			t.Errorf("the Service %s led to port %d and leads to %d", before.Name, from, to)
		}
	}
}

// resolve is where a Service leads in a pod as Kubernetes before 1.33 has it: named ports of init
// containers count for nothing.
func resolve(spec corev1.PodSpec, p corev1.ServicePort) int32 {
	if p.TargetPort.Type == intstr.Int {
		if p.TargetPort.IntVal == 0 {
			return p.Port
		}
		return p.TargetPort.IntVal
	}
	for _, c := range spec.Containers {
		if n := number(&c, p.TargetPort); n != 0 {
			return n
		}
	}
	return 0
}
