package inject

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// place is where a port is declared: the container's index among the
// ordinary ones, and the port's in it. Index -1 is a port that nobody declares.
type place struct {
	container, index int
	port             port
}

// findPort finds the API's port among what the containers declare.
func findPort(p *pod, asked string, targets []string) (place, error) {
	found := declared(p)
	if asked != "" {
		return askedPort(found, asked)
	}
	candidates := found
	if aimed := slices.DeleteFunc(slices.Clone(found), func(at place) bool { return !aimedAt(at.port, targets) }); len(aimed) > 0 {
		candidates = aimed
	}
	if len(candidates) > 1 {
		if named := slices.DeleteFunc(slices.Clone(candidates), func(at place) bool { return at.port.Name != "http" }); len(named) > 0 {
			candidates = named
		}
	}
	switch len(candidates) {
	case 0:
		return place{}, &Refusal{"no container declares a TCP port", "name the API's with the annotation " + Prefix + "port"}
	case 1:
	default:
		if err := once(found, candidates[0]); err != nil {
			return place{}, err
		}
		return place{}, &Refusal{fmt.Sprintf("it is not clear which of the ports %s is the API's", names(candidates)), "name it with the annotation " + Prefix + "port"}
	}
	at := candidates[0]
	if other := otherProtocol(p, at); other != "" {
		return place{}, &Refusal{fmt.Sprintf("port %s of container %q looks like %s, and what is measured is HTTP/1.1 in the clear", at.port, p.Spec.Containers[at.container].Name, other),
			"if it speaks HTTP all the same, name it with the annotation " + Prefix + "port"}
	}
	return at, once(found, at)
}

// declared are the TCP ports of the ordinary containers.
func declared(p *pod) (found []place) {
	for i, c := range p.Spec.Containers {
		for j, one := range c.Ports {
			if one.tcp() && one.ContainerPort > 0 {
				found = append(found, place{i, j, one})
			}
		}
	}
	return found
}

// askedPort finds the port that a person has named.
func askedPort(found []place, asked string) (place, error) {
	number, isNumber := portNumber(asked)
	matching := slices.DeleteFunc(slices.Clone(found), func(at place) bool {
		return isNumber && at.port.ContainerPort != number || !isNumber && at.port.Name != asked
	})
	switch {
	case len(matching) > 0:
		return matching[0], once(found, matching[0])
	case isNumber:
		return place{container: -1, index: -1, port: port{ContainerPort: number}}, nil
	}
	text := "no container declares a TCP port of the name " + strconv.Quote(asked)
	if len(found) > 0 {
		text += "; there is " + names(found)
	}
	return place{}, &Refusal{text, "give a name that there is, or the number, in the annotation " + Prefix + "port"}
}

// once refuses a port whose number or name another container declares too.
func once(found []place, at place) error {
	for _, other := range found {
		if other.container == at.container && other.index == at.index {
			continue
		}
		if other.port.ContainerPort == at.port.ContainerPort {
			return &Refusal{fmt.Sprintf("port %d is declared twice", at.port.ContainerPort), "declare it once, where the API is"}
		}
		if other.port.Name != "" && other.port.Name == at.port.Name {
			return &Refusal{fmt.Sprintf("two ports have the name %s, %d and %d, and a Service finds the first", at.port.Name, at.port.ContainerPort, other.port.ContainerPort),
				"give them names of their own"}
		}
	}
	return nil
}

func aimedAt(p port, targets []string) bool {
	return p.Name != "" && slices.Contains(targets, p.Name) || slices.Contains(targets, strconv.Itoa(int(p.ContainerPort)))
}

func names(found []place) string {
	var all []string
	for _, at := range found {
		all = append(all, at.port.String())
	}
	return strings.Join(all, ", ")
}

// portNumber reads a port of 1 to 65535.
func portNumber(s string) (int32, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return int32(n), err == nil && n > 0
}

// otherProtocols are what ports are called, by the custom that a name begins
// with its protocol, that speak something else than HTTP/1.1 in the clear.
var otherProtocols = []string{
	"amqp", "cql", "dns", "grpc", "grpcs", "h2", "h2c", "http2", "https", "kafka", "ldap", "memcached", "mongo", "mongodb", "mqtt", "mysql", "nats", "pg",
	"postgres", "postgresql", "redis", "smtp", "ssh", "tcp", "tls",
}

// otherPorts are registered for such protocols, and believed of ports without a name.
var otherPorts = map[int32]string{
	22: "ssh", 25: "smtp", 53: "dns", 443: "https", 3306: "mysql", 5432: "postgres", 5672: "amqp", 6379: "redis", 8443: "https", 9042: "cql",
	9092: "kafka", 11211: "memcached", 27017: "mongo", 50051: "grpc",
}

// otherProtocol is what a port that nobody has named as the API's seems to speak;
// empty for HTTP.
func otherProtocol(p *pod, at place) string {
	first, _, _ := strings.Cut(at.port.Name, "-")
	if slices.Contains(otherProtocols, first) {
		return first
	}
	if at.port.Name == "" && otherPorts[at.port.ContainerPort] != "" {
		return otherPorts[at.port.ContainerPort]
	}
	for _, probe := range p.Spec.Containers[at.container].probes() {
		switch {
		case probe.GRPC != nil && probe.GRPC.Port.Number == at.port.ContainerPort:
			return "grpc"
		case probe.HTTPGet != nil && probe.HTTPGet.Scheme == "HTTPS" && probe.HTTPGet.Port.is(at.port):
			return "https"
		}
	}
	return ""
}

func (p portValue) is(one port) bool {
	return p.Name != "" && p.Name == one.Name || p.Name == "" && p.Number == one.ContainerPort
}

func (c container) probes() (all []probe) {
	for _, p := range []*probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		if p != nil {
			all = append(all, *p)
		}
	}
	return all
}

// maxPortName is the length of a port's name.
const maxPortName = 15

// takeOver has the declaration of the API's port lead to listen, and declares the
// API's own beside it.
//
// The declaration stays with the API's container, as a Service finds the named ports of
// init containers only from Kubernetes 1.33 on, and which container declares a port matters to
// nobody else: all share one address.
func (p *patch) takeOver(on *pod, at place, listen int32) {
	if at.index < 0 {
		return
	}
	c := on.Spec.Containers[at.container]
	path := []any{"spec", "containers", at.container}
	p.replace(listen, append(path, "ports", at.index, "containerPort")...)
	own := port{ContainerPort: at.port.ContainerPort, Protocol: at.port.Protocol}
	if at.port.Name != "" {
		own.Name = ownName(at.port.Name, c.Ports)
	}
	p.add(own, append(path, "ports", "-")...)
	p.repoint(c, at.port, path)
}

// ownName is the name of the API's own port; empty where it is taken.
func ownName(name string, taken []port) string {
	const suffix = "-app"
	own := strings.TrimRight(name[:min(len(name), maxPortName-len(suffix))], "-") + suffix
	if slices.ContainsFunc(taken, func(p port) bool { return p.Name == own }) {
		return ""
	}
	return own
}

// repoint leaves the container's probes and hooks on its own port where they
// go by the name that now leads to the sidecar.
func (p *patch) repoint(c container, own port, path []any) {
	if own.Name == "" {
		return
	}
	at := func(action *portAction, steps ...any) {
		if action != nil && action.Port.Name == own.Name {
			p.replace(own.ContainerPort, slices.Concat(path, steps, []any{"port"})...)
		}
	}
	for _, one := range []struct {
		name  string
		probe *probe
	}{{"startupProbe", c.StartupProbe}, {"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}} {
		if one.probe != nil {
			at(one.probe.HTTPGet, one.name, "httpGet")
			at(one.probe.TCPSocket, one.name, "tcpSocket")
		}
	}
	if c.Lifecycle == nil {
		return
	}
	for _, one := range []struct {
		name string
		hook *handler
	}{{"postStart", c.Lifecycle.PostStart}, {"preStop", c.Lifecycle.PreStop}} {
		if one.hook != nil {
			at(one.hook.HTTPGet, "lifecycle", one.name, "httpGet")
			at(one.hook.TCPSocket, "lifecycle", one.name, "tcpSocket")
		}
	}
}
