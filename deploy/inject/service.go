package inject

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Service is what is looked at of a Service.
type Service struct {
	Name, Namespace string
	// Headless Services have clients connect to pods themselves, at ports of their choice.
	Headless bool
	selector map[string]string
	ports    []servicePort
}

type servicePort struct {
	Port       int32      `json:"port"`
	TargetPort *portValue `json:"targetPort"`
	Protocol   string     `json:"protocol"`
}

// target is where the port leads in a pod: to the same number when nothing else is said.
func (p servicePort) target() portValue {
	if p.TargetPort == nil || *p.TargetPort == (portValue{}) {
		return portValue{Number: p.Port}
	}
	return *p.TargetPort
}

// ReadService reads a Service's JSON.
func ReadService(text []byte) (*Service, error) {
	var s struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			ClusterIP string            `json:"clusterIP"`
			Selector  map[string]string `json:"selector"`
			Ports     []servicePort     `json:"ports"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("cannot read the Service: %w", err)
	}
	return &Service{s.Metadata.Name, s.Metadata.Namespace, s.Spec.ClusterIP == "None", s.Spec.Selector, s.Spec.Ports}, nil
}

// Selects says whether pods with these labels are the Service's.
func (s *Service) Selects(namespace string, labels map[string]string) bool {
	for key, value := range s.selector {
		if have, ok := labels[key]; !ok || have != value {
			return false
		}
	}
	return len(s.selector) > 0 && s.Namespace == namespace
}

// TargetPorts are the pods' ports that the Service leads to: names, or numbers in digits.
func (s *Service) TargetPorts() (all []string) {
	for _, p := range s.ports {
		if t := p.target(); t.Name != "" {
			all = append(all, t.Name)
		} else {
			all = append(all, strconv.Itoa(int(t.Number)))
		}
	}
	return all
}

// LeadsTo says whether one of the Service's ports leads to a number of a pod.
func (s *Service) LeadsTo(number int32) bool { return len(s.Retarget(number, 0)) > 0 }

// Retarget returns the patch by which what led to the number api leads to listen. Names are
// left: a pod says itself where they lead.
func (s *Service) Retarget(api, listen int32) []Operation {
	var edit patch
	for i, p := range s.ports {
		if tcp := p.Protocol == "" || p.Protocol == "TCP"; tcp && p.target() == (portValue{Number: api}) {
			edit.add(listen, "spec", "ports", i, "targetPort")
		}
	}
	return edit
}
