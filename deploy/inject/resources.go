package inject

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
)

// resources are those that the options ask for.
func (o Options) resources() *resources {
	of := func(cpu, memory string) map[string]quantity {
		amounts := map[string]quantity{"cpu": quantity(cpu), "memory": quantity(memory)}
		maps.DeleteFunc(amounts, func(_ string, q quantity) bool { return q == "" })
		return amounts
	}
	return &resources{Requests: of(o.CPURequest, o.MemoryRequest), Limits: of(o.CPULimit, o.MemoryLimit)}
}

// names are those of the resources of which there is a request or a limit, sorted.
func (r *resources) names() []string {
	if r == nil {
		return nil
	}
	all := slices.AppendSeq(slices.Collect(maps.Keys(r.Requests)), maps.Keys(r.Limits))
	slices.Sort(all)
	return slices.Compact(all)
}

// sidecarResources are the sidecar's in this pod. Of what the pod has an amount of for all its
// containers together it gets none of its own: Kubernetes refuses a pod whose containers
// come to more than that, and takes a limit without a request for both.
func (p *pod) sidecarResources(o Options) *resources {
	r := o.resources()
	if p.guaranteed() && o.limited() {
		r.Requests = r.Limits
	}
	for _, name := range p.Spec.Resources.names() {
		delete(r.Requests, name)
		delete(r.Limits, name)
	}
	return r
}

// checkResources refuses a request above its limit, for which Kubernetes would refuse the pod.
func checkResources(r *resources) error {
	for _, name := range r.names() {
		request, limit := r.Requests[name], r.Limits[name]
		if request != "" && limit != "" && request.exact().Cmp(limit.exact()) > 0 {
			return &Refusal{fmt.Sprintf("the sidecar would be promised %s of %s, and may have only %s", request, name, limit),
				"lower the one with the annotation " + Prefix + name + "-request, or raise the other with " + Prefix + name + "-limit"}
		}
	}
	return nil
}

// exact is the value of an amount that an option has accepted.
func (q quantity) exact() *big.Rat {
	number := strings.TrimRight(string(q), "mkMGTPi")
	value, ok := new(big.Rat).SetString(number)
	if !ok {
		panic("inject: " + string(q) + " was accepted as an amount and is none")
	}
	suffix, base := strings.TrimPrefix(string(q), number), int64(1000)
	if strings.HasSuffix(suffix, "i") {
		suffix, base = suffix[:1], 1024
	}
	switch {
	case suffix == "m":
		return value.Quo(value, big.NewRat(base, 1))
	case suffix == "":
		return value
	}
	power := big.NewInt(int64(1 + strings.Index("KMGTP", strings.ToUpper(suffix))))
	return value.Mul(value, new(big.Rat).SetInt(power.Exp(big.NewInt(base), power, nil)))
}

// shares warns of resources that the sidecar takes from the pod's own.
func (p *pod) shares(o Options) string {
	own := p.Spec.Resources.names()
	shared := slices.DeleteFunc(o.resources().names(), func(name string) bool { return !slices.Contains(own, name) })
	if len(shared) == 0 {
		return ""
	}
	return "the sidecar gets no request or limit of its own of " + strings.Join(shared, " and ") + ", as spec.resources has them for all containers together: leave room for it there"
}

// guaranteed says whether the pod is of the class Guaranteed by its containers: each may have
// what it is promised, and no more. Resources of the pod itself decide its class whatever
// its containers have, and so the sidecar does not change it.
func (p *pod) guaranteed() bool {
	return p.Spec.Resources == nil && !slices.ContainsFunc(p.all(), func(c container) bool { return !sameResources(c) })
}

// limited says whether the sidecar has the limits that a Guaranteed pod needs of each container.
func (o Options) limited() bool { return o.CPULimit != "" && o.MemoryLimit != "" }

// loses warns of a class that the pod loses.
func (p *pod) loses(o Options) string {
	if !p.guaranteed() || o.limited() {
		return ""
	}
	return "the pod is Guaranteed, and with the sidecar it is Burstable: set " + Prefix + "cpu-limit and " + Prefix + "memory-limit to keep it so"
}

// sameResources says whether a container is promised all that it may have, of
// both CPU and memory: what makes a pod Guaranteed when each is.
func sameResources(c container) bool {
	if c.Resources == nil {
		return false
	}
	return !slices.ContainsFunc([]string{"cpu", "memory"}, func(name string) bool {
		limit, limited := c.Resources.Limits[name]
		request, requested := c.Resources.Requests[name]
		return !limited || requested && request != limit
	})
}
