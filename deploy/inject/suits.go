package inject

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/countersign-dev/countersign/config"
)

// suits refuses pods that cannot have the sidecar whatever their ports.
func suits(p *pod, owner Owner, o Options) error {
	if slices.ContainsFunc(p.all(), func(c container) bool { return c.Name == Container }) {
		return &Refusal{"the pod has a container named " + Container + " that was not injected", "give it another name"}
	}
	if p.windows() {
		return &Refusal{"the pod is for Windows nodes, and the sidecar is a Linux program", "leave it out with " + Label + ": " + Disabled}
	}
	if arch := p.Spec.NodeSelector["kubernetes.io/arch"]; arch != "" && arch != "amd64" && arch != "arm64" {
		return &Refusal{"the pod is for " + arch + " nodes, and the sidecar's image is for amd64 and arm64", "leave it out with " + Label + ": " + Disabled}
	}
	if p.Spec.HostNetwork && o.Sensor != config.SensorEBPF {
		return &Refusal{"the pod uses the node's network, where the sidecar's ports would be the node's", "use the eBPF probe, with " + Prefix + "sensor: ebpf, or the pod's own network"}
	}
	if o.Sensor == config.SensorEBPF && slices.Contains([]string{"baseline", "restricted"}, owner.PodSecurity) {
		return &Refusal{"the eBPF probe needs capabilities that the namespace's Pod Security level " + owner.PodSecurity + " forbids", "use the proxy, with " + Prefix + "sensor: proxy"}
	}
	if ends := p.Spec.RestartPolicy; !o.Native && (ends == "Never" || ends == "OnFailure") {
		return &Refusal{"an ordinary container would keep the pod from completing, as it never ends itself", "use a native sidecar, with " + Prefix + "native: \"true\", on Kubernetes 1.29 or later"}
	}
	return nil
}

// windows says whether the pod can run on Windows nodes alone.
func (p *pod) windows() bool {
	if p.Spec.OS != nil && p.Spec.OS.Name == "windows" || p.Spec.SecurityContext != nil && p.Spec.SecurityContext.WindowsOptions != nil {
		return true
	}
	labels := []string{"kubernetes.io/os", "beta.kubernetes.io/os"}
	for _, label := range labels {
		if p.Spec.NodeSelector[label] == "windows" {
			return true
		}
	}
	if p.Spec.Affinity == nil || p.Spec.Affinity.Node == nil || p.Spec.Affinity.Node.Required == nil {
		return false
	}
	terms := p.Spec.Affinity.Node.Required.Terms
	for _, term := range terms { // any one of them suffices for a node
		if !slices.ContainsFunc(term.Expressions, func(e expression) bool {
			return slices.Contains(labels, e.Key) && e.Operator == "In" && slices.Equal(e.Values, []string{"windows"})
		}) {
			return false
		}
	}
	return len(terms) > 0
}

// checkPorts refuses ports of the sidecar that are in use.
func checkPorts(p *pod, o Options) error {
	type use struct {
		option string
		number int32
	}
	uses := []use{{"admin", o.Admin}}
	if o.Sensor != config.SensorEBPF {
		uses = append(uses, use{"listen", o.Listen})
	}
	if o.ApprovalPort != 0 {
		uses = append(uses, use{"approval-port", o.ApprovalPort})
	}
	for i, one := range uses {
		for _, other := range uses[:i] {
			if one.number == other.number {
				return &Refusal{fmt.Sprintf("%s and %s are both port %d", other.option, one.option, one.number), "give each a port of its own"}
			}
		}
		for _, c := range p.all() {
			if slices.ContainsFunc(c.Ports, func(used port) bool { return used.ContainerPort == one.number && used.tcp() }) {
				return &Refusal{fmt.Sprintf("port %d is in use by the container %q, and the sidecar would need it", one.number, c.Name),
					"give the sidecar another with the annotation " + Prefix + one.option}
			}
		}
		if number, ok := portNumber(o.Port); ok && number == one.number {
			return &Refusal{fmt.Sprintf("port %d is the API's, and the sidecar would need it", number), "give the sidecar another with the annotation " + Prefix + one.option}
		}
	}
	return nil
}

// warning tells of a port that nothing leads to by its name, where no Service is known to
// lead to its number.
func (at place) warning(o Options, owner Owner) string {
	if o.Sensor == config.SensorEBPF || aimedAt(at.port, owner.TargetPorts) || at.port.Name != "" {
		return ""
	}
	return "the port " + strconv.Itoa(int(at.port.ContainerPort)) + " has no name: Services reach the sidecar only with targetPort: " + strconv.Itoa(int(o.Listen)) +
		"; give the port a name, and Services that as targetPort, and none needs to be changed"
}

// warning tells what the probe costs.
func (o Options) warning(p *pod) string {
	if o.Sensor != config.SensorEBPF {
		return ""
	}
	text := "the eBPF probe runs as root with the capabilities BPF and " + o.security().Capabilities.Add[1] + " until it is attached: the Pod Security levels baseline and restricted forbid that"
	if p.Spec.HostNetwork {
		text += "; on the node's network it sees every connection to that port of the node"
	}
	return text
}

// groupFiles has the volumes belong to a group that the sidecar's user is in.
func (p *patch) groupFiles(on *pod) {
	const change, onMismatch = "fsGroupChangePolicy", "OnRootMismatch" // files are looked at once, not at each start
	if on.Spec.SecurityContext == nil {
		p.add(map[string]any{"fsGroup": user, change: onMismatch}, "spec", "securityContext")
		return
	}
	p.add(user, "spec", "securityContext", "fsGroup")
	if on.Spec.SecurityContext.FSGroupChangePolicy == nil {
		p.add(onMismatch, "spec", "securityContext", change)
	}
}
