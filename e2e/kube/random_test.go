package kube

import (
	"fmt"
	"math/rand/v2"
)

// randomPods makes pods at random, with what pods may have in all combinations:
// most are valid, which the API server decides.
type randomPods struct{ *rand.Rand }

// chance is true once in n times.
func (r randomPods) chance(n int) bool { return r.IntN(n) == 0 }

// any of the values.
func (r randomPods) pick(values ...any) any { return values[r.IntN(len(values))] }

// pod makes one with the name.
func (r randomPods) pod(name string) object {
	volumes := r.volumes()
	spec := object{"volumes": volumes}
	names := []string{"app", "api", "worker", "envoy"}
	if r.chance(12) {
		names[1] = "countersign"
	}
	hostNetwork := r.chance(10)
	var containers, before []any
	for i, name := range names[:1+r.IntN(len(names))] {
		containers = append(containers, r.container(name, volumes, r.ports(i == 0, hostNetwork)))
	}
	for _, name := range []string{"migrate", "mesh"}[:r.IntN(3)] {
		c := r.container(name, volumes, r.ports(false, hostNetwork))
		if r.chance(3) {
			c["restartPolicy"] = "Always"
		} else {
			for _, key := range []string{"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"} {
				delete(c, key)
			}
		}
		before = append(before, c)
	}
	spec["containers"] = containers
	if before != nil {
		spec["initContainers"] = before
	}
	if hostNetwork {
		spec["hostNetwork"] = true
	}
	r.podFields(spec)
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": r.metadata(name), "spec": spec}
}

func (r randomPods) podFields(spec object) {
	maybe := func(n int, key string, values ...any) {
		if r.chance(n) {
			spec[key] = r.pick(values...)
		}
	}
	maybe(4, "restartPolicy", "Always", "Never", "OnFailure")
	maybe(6, "securityContext",
		object{"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 2000},
		object{"runAsUser": 0},
		object{"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": object{"type": "RuntimeDefault"}},
		object{"fsGroupChangePolicy": "OnRootMismatch", "supplementalGroups": []any{3000}},
		object{"sysctls": []any{object{"name": "net.ipv4.tcp_syncookies", "value": "1"}}})
	maybe(10, "nodeSelector", object{"kubernetes.io/os": "windows"}, object{"kubernetes.io/os": "linux"}, object{"disk": "ssd"})
	maybe(14, "os", object{"name": "linux"}, object{"name": "windows"})
	maybe(6, "shareProcessNamespace", true, false)
	maybe(6, "hostPID", true)
	maybe(6, "automountServiceAccountToken", false, true)
	maybe(6, "enableServiceLinks", false)
	maybe(6, "terminationGracePeriodSeconds", 0, 1, 30, 3600)
	maybe(6, "dnsPolicy", "Default", "ClusterFirst", "ClusterFirstWithHostNet")
	maybe(6, "hostAliases", []any{object{"ip": "10.0.0.1", "hostnames": []any{"a.example.com", "b.example.com"}}})
	maybe(6, "tolerations", []any{object{"key": "a/b", "operator": "Exists"}})
	maybe(6, "imagePullSecrets", []any{object{"name": "registry"}})
	maybe(6, "schedulingGates", []any{object{"name": "example.com/gate"}})
	maybe(6, "activeDeadlineSeconds", 100)
	maybe(6, "hostUsers", false)
	maybe(8, "resources", object{"requests": object{"cpu": "2", "memory": "2Gi"}, "limits": object{"cpu": "4", "memory": "4Gi"}},
		object{"requests": object{"cpu": "10m", "memory": "1Mi"}}, object{"limits": object{"memory": "2Mi"}})
}

func (r randomPods) metadata(name string) object {
	metadata := object{"name": name}
	if r.chance(2) {
		metadata["labels"] = object{"app.kubernetes.io/name": "a", "tier": "backend"}
	}
	annotations := object{}
	maybe := func(n int, key string, values ...any) {
		if r.chance(n) {
			annotations[key] = r.pick(values...)
		}
	}
	maybe(3, "example.com/note", "x", "", "~1/~0 \"quoted\" \n line")
	maybe(12, "countersign.dev/status", "injected by somebody else")
	if r.chance(3) {
		r.options(maybe)
	}
	if len(annotations) > 0 {
		metadata["annotations"] = annotations
	}
	return metadata
}

// options are annotations of which some cannot be what they say.
func (r randomPods) options(maybe func(n int, key string, values ...any)) {
	maybe(5, "countersign.dev/port", "http", "8080", "no-such-port", "0", "99999", "")
	maybe(8, "countersign.dev/sensor", "ebpf", "proxy", "neither")
	maybe(8, "countersign.dev/listen", "8080", "15080", "20000", "-1", "many")
	maybe(10, "countersign.dev/native", "true", "false", "perhaps")
	maybe(10, "countersign.dev/ledger-claim", "ledger", "NOT A NAME")
	maybe(10, "countersign.dev/image", "registry.example.com/countersign:v1", "", "not an image")
	maybe(10, "countersign.dev/memory-limit", "64Mi", "-1", "lots")
	maybe(12, "countersign.dev/no-such-option", "1")
}

// volumes are named v0, v1, and so on, or as the sidecar would name its own.
func (r randomPods) volumes() []any {
	var volumes []any
	for i := range r.IntN(5) {
		name := fmt.Sprintf("v%d", i)
		if i == 0 && r.chance(10) {
			name = r.pick("countersign", "countersign-data", "countersign-ledger", "countersign-config").(string)
		}
		source := r.pick(
			object{"emptyDir": object{}},
			object{"emptyDir": object{"medium": "Memory", "sizeLimit": "1Mi"}},
			object{"configMap": object{"name": "settings", "items": []any{object{"key": "a.conf", "path": "dir/a.conf"}}}},
			object{"secret": object{"secretName": "keys", "defaultMode": 0o400}},
			object{"hostPath": object{"path": "/var/log", "type": "Directory"}},
			object{"persistentVolumeClaim": object{"claimName": "data"}},
			object{"downwardAPI": object{"items": []any{object{"path": "labels", "fieldRef": object{"fieldPath": "metadata.labels"}}}}},
			object{"projected": object{"sources": []any{object{"serviceAccountToken": object{"path": "token", "audience": "vault"}}}}},
			object{"ephemeral": object{"volumeClaimTemplate": object{"spec": object{"accessModes": []any{"ReadWriteOnce"}, "resources": object{"requests": object{"storage": "1Gi"}}}}}},
		).(object)
		volume := object{"name": name}
		for key, value := range source {
			volume[key] = value
		}
		volumes = append(volumes, volume)
	}
	return volumes
}

func (r randomPods) container(name string, volumes, ports []any) object {
	c := object{"name": name, "image": r.pick("example.com/app:1", "example.com/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "app")}
	if ports != nil {
		c["ports"] = ports
	}
	var mounts []any
	for i, volume := range volumes {
		if r.chance(2) {
			mount := object{"name": volume.(object)["name"], "mountPath": fmt.Sprintf("/mnt/%d", i)}
			switch r.IntN(5) {
			case 0:
				mount["subPath"] = "some/where"
			case 1:
				mount["subPathExpr"] = "$(NAME)/logs"
				c["env"] = []any{object{"name": "NAME", "valueFrom": object{"fieldRef": object{"fieldPath": "metadata.name"}}}}
			case 2:
				mount["readOnly"] = true
			}
			mounts = append(mounts, mount)
		}
	}
	if mounts != nil {
		c["volumeMounts"] = mounts
	}
	r.containerFields(c, ports)
	return c
}

func (r randomPods) containerFields(c object, ports []any) {
	maybe := func(n int, key string, values ...any) {
		if r.chance(n) {
			c[key] = r.pick(values...)
		}
	}
	maybe(4, "command", []any{"/bin/app"}, []any{"sh", "-c", "exec app \"$@\"", "~/a", ""})
	maybe(4, "args", []any{"--port=8080"}, []any{""})
	maybe(6, "envFrom", []any{object{"prefix": "A_", "configMapRef": object{"name": "settings", "optional": true}}})
	maybe(6, "workingDir", "/srv")
	maybe(6, "tty", true)
	maybe(6, "imagePullPolicy", "Always", "Never", "IfNotPresent")
	maybe(6, "terminationMessagePolicy", "FallbackToLogsOnError")
	maybe(4, "resources",
		object{"limits": object{"cpu": "500m", "memory": "128Mi"}},
		object{"requests": object{"cpu": 1, "memory": 134217728, "ephemeral-storage": "1Gi"}},
		object{"limits": object{"example.com/gpu": 1}})
	maybe(4, "securityContext",
		object{"privileged": true},
		object{"runAsUser": 0, "capabilities": object{"add": []any{"NET_BIND_SERVICE"}, "drop": []any{"ALL"}}},
		object{"runAsNonRoot": true, "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true})
	for _, probe := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if r.chance(3) {
			c[probe] = r.handler(ports)
		}
	}
	if r.chance(5) {
		c["lifecycle"] = object{r.pick("preStop", "postStart").(string): r.handler(ports)}
	}
}

// handler is a probe's or a hook's, by a port's name or number, or by a command.
func (r randomPods) handler(ports []any) object {
	port := any(8080)
	if len(ports) > 0 {
		p := ports[r.IntN(len(ports))].(object)
		port = p["containerPort"]
		if name, ok := p["name"]; ok && r.chance(2) {
			port = name
		}
	}
	return r.pick(
		object{"httpGet": object{"path": "/healthz", "port": port, "scheme": "HTTP", "httpHeaders": []any{object{"name": "Host", "value": "a"}}}},
		object{"tcpSocket": object{"port": port}},
		object{"exec": object{"command": []any{"true"}}},
		object{"httpGet": object{"port": port}},
	).(object)
}

// ports are those of the container that is mostly the API's, or of another, which
// mostly has none: pods in which anything could be the API are refused.
func (r randomPods) ports(api, hostNetwork bool) []any {
	if !api && !r.chance(6) {
		return nil
	}
	names := []string{"http", "metrics", "grpc", "https", "a-very-long-one", "web"}
	others := names
	least := 0
	if api && !r.chance(6) {
		others, least = names[1:], 1
	}
	r.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	var ports []any
	for i := range least + r.IntN(3) {
		number := r.pick(80, 443, 3000, 8000, 8080, 8443, 9090, 65535)
		if r.chance(20) {
			number = r.pick(15080, 15081) // the sidecar's own
		}
		port := object{"containerPort": number}
		if !r.chance(4) {
			port["name"] = names[i]
		}
		if r.chance(4) {
			port["protocol"] = r.pick("TCP", "UDP", "SCTP")
		}
		if hostNetwork || r.chance(12) {
			port["hostPort"] = number
		}
		ports = append(ports, port)
	}
	return ports
}
