package inject

import (
	"maps"
	"strconv"
	"strings"

	"github.com/countersign-dev/countersign/config"
)

// Where things are in the sidecar: its program, which the image has no PATH to, and what is mounted.
const (
	program    = "/countersign"
	dataPath   = "/data"
	configPath = "/etc/countersign/config"
	policyPath = "/etc/countersign/policy"
	secretPath = "/etc/countersign/secret"
)

// user is the image's.
const user = 65532

// neighbours are the networks that clusters give to pods and nodes. What
// they send through, an ingress controller's forwarding headers, reaches the API as it did without a sidecar.
const neighbours = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"

// arguments are the command line of the sidecar.
func arguments(o Options, owner Owner, api int32) []string {
	args := []string{"run"}
	for _, name := range orderedFlags() {
		if value, ok := flags(o, owner, api)[name]; ok {
			args = append(args, "--"+name+"="+literal(value))
		}
	}
	return args
}

// orderedFlags are --config, and every setting in the order of its section.
func orderedFlags() []string {
	names := []string{"config"}
	for _, f := range config.Fields() {
		names = append(names, f.Flag)
	}
	return names
}

// flags are what the command line says, by name.
func flags(o Options, owner Owner, api int32) map[string]string {
	f := map[string]string{"data": dataPath}
	if o.Metrics {
		f["admin"] = ":" + strconv.Itoa(int(o.Admin))
	}
	if owner.Name != "" {
		f["service"] = owner.Name
	}
	if o.Sensor == config.SensorEBPF {
		f["sensor"], f["port"] = config.SensorEBPF, strconv.Itoa(int(api))
	} else {
		f["upstream"] = "http://127.0.0.1:" + strconv.Itoa(int(api))
		f["listen"] = ":" + strconv.Itoa(int(o.Listen))
		f["trusted-proxies"] = neighbours
		// The API's container starts after this one, and may take its time: until
		// then the port is closed, as the API's own is.
		f["wait-upstream"] = "1h"
	}
	if o.Config != "" {
		f["config"] = configPath + "/countersign.yaml"
	}
	if o.Policy != "" {
		f["policy"] = policyPath + "/policy.yaml"
	}
	if o.ApprovalPort != 0 {
		f["approval-listen"] = ":" + strconv.Itoa(int(o.ApprovalPort))
	}
	maps.Copy(f, o.Settings)
	return f
}

// literal keeps Kubernetes from taking $(NAME) for a variable.
func literal(s string) string { return strings.ReplaceAll(s, "$(", "$$(") }

// checkFlags refuses a command line that run would refuse. With a configuration
// file, which is not known here, settings are judged one by one.
func checkFlags(o Options, owner Owner, api int32) error {
	given := flags(o, owner, api)
	delete(given, "config")
	if !o.Metrics {
		given["admin"] = o.loopback()
	}
	if o.Config == "" {
		if _, err := config.Load(config.Sources{Flags: given}); err != nil {
			return &Refusal{Reason: "the sidecar would not start: " + err.Error()}
		}
		return nil
	}
	for _, f := range config.Fields() {
		if value, ok := given[f.Flag]; ok {
			if err := f.Check(value); err != nil {
				return &Refusal{Reason: "the sidecar would not start: " + f.Key + " " + err.Error()}
			}
		}
	}
	return nil
}

// sidecar is the container.
func sidecar(o Options, owner Owner, api int32, own *resources, ledger mount) container {
	c := container{
		Name: Container, Image: o.Image, ImagePullPolicy: o.PullPolicy,
		Args:            arguments(o, owner, api),
		Env:             []variable{{Name: "COUNTERSIGN_ADMIN", Value: o.loopback()}}, // for run, and for commands in the container
		Resources:       own,
		SecurityContext: o.security(),
		VolumeMounts:    append([]mount{ledger}, o.mounts()...),
	}
	if o.Native {
		c.RestartPolicy = "Always"
	}
	if ledger.SubPathExpr != "" {
		c.Env = append(c.Env, variable{Name: podName, ValueFrom: &valueFrom{FieldRef: &fieldRef{FieldPath: "metadata.name"}}})
	}
	if o.Secret != "" {
		c.Env = append(c.Env, o.secretVariable("COUNTERSIGN_SECRET", "secret"), o.secretVariable(config.LedgerKeyVariable, "ledger-key"))
	}
	if o.Metrics {
		c.Ports = append(c.Ports, port{Name: Container, ContainerPort: o.Admin})
	}
	if o.ApprovalPort != 0 {
		c.Ports = append(c.Ports, port{Name: "approve", ContainerPort: o.ApprovalPort})
	}
	// A native sidecar has started when its startup probe says so, and only then the API's container
	// is started: none may ask for the API.
	c.StartupProbe = o.probe("live", probe{PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 60})
	c.LivenessProbe = o.probe("live", probe{PeriodSeconds: 20, TimeoutSeconds: 5, FailureThreshold: 6})
	c.ReadinessProbe = o.probe("ready", probe{PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3})
	return c
}

func (o Options) secretVariable(name, key string) variable {
	return variable{Name: name, ValueFrom: &valueFrom{SecretKeyRef: &keyRef{Name: o.Secret, Key: key, Optional: true}}}
}

// probe asks the admin API what is asked for, live or ready: from within where
// it answers on the pod's loopback only.
func (o Options) probe(what string, p probe) *probe {
	if o.Metrics {
		path := map[string]string{"live": "/healthz", "ready": "/readyz"}[what]
		p.HTTPGet = &portAction{Path: path, Port: portValue{Number: o.Admin}}
		return &p
	}
	p.Exec = &execAction{Command: []string{program, "healthcheck", "--" + what}}
	return &p
}

// loopback is the admin API as it is reached from within the pod.
func (o Options) loopback() string { return "127.0.0.1:" + strconv.Itoa(int(o.Admin)) }

// security is what the level restricted asks of a container; the probe needs more.
func (o Options) security() *security {
	s := &security{
		AllowPrivilegeEscalation: new(bool), ReadOnlyRootFilesystem: ref(true),
		Capabilities:   &capabilities{Drop: []string{"ALL"}},
		RunAsGroup:     ref[int64](user),
		RunAsNonRoot:   ref(true),
		RunAsUser:      ref[int64](user),
		SeccompProfile: &seccompProfile{Type: "RuntimeDefault"},
	}
	if o.Sensor == config.SensorEBPF {
		// Kubernetes gives added capabilities to root alone. The sidecar drops them
		// once the probe is attached.
		s.RunAsNonRoot, s.RunAsUser, s.RunAsGroup = ref(false), ref[int64](0), ref[int64](0)
		s.Capabilities.Add = []string{"BPF", "NET_ADMIN"}
		if o.Settings["ebpf-attach"] == "socket" {
			s.Capabilities.Add = []string{"BPF", "NET_RAW"}
		}
	}
	return s
}

func ref[T any](v T) *T { return &v }
