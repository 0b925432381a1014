package kube

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// template is the pod template of a workload of any kind, and nil of an object
// that has none.
func template(o object) object {
	switch text(o, "kind") {
	case "Pod":
		return o
	case "CronJob":
		o, _ = dig(o, "spec", "jobTemplate", "spec", "template").(object)
	default:
		o, _ = dig(o, "spec", "template").(object)
	}
	return o
}

// podOf is a pod of a template, made by nobody in particular.
func podOf(template object, name string) object {
	metadata := object{"name": name}
	for _, key := range []string{"labels", "annotations"} {
		if value := dig(template, "metadata", key); value != nil {
			metadata[key] = value
		}
	}
	return clone(object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]})
}

// podBy is the first pod that the controller of a workload would create.
func podBy(workload object) object {
	name, kind := text(workload, "metadata", "name"), text(workload, "kind")
	pod := podOf(template(workload), name)
	metadata := pod["metadata"].(object)
	labels, _ := metadata["labels"].(object)
	if labels == nil {
		labels = object{}
		metadata["labels"] = labels
	}
	owner := object{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "00000000-0000-4000-8000-000000000000", "controller": true, "blockOwnerDeletion": true}
	const hash = "5d8f7c9b6d"
	switch kind {
	case "Pod":
		if prefix := text(workload, "metadata", "generateName"); prefix != "" {
			metadata["name"], metadata["generateName"] = prefix+"x7k2p", prefix
		}
		return pod
	case "Deployment":
		labels["pod-template-hash"] = hash
		owner["kind"], owner["name"] = "ReplicaSet", name+"-"+hash
	case "StatefulSet":
		labels["statefulset.kubernetes.io/pod-name"], labels["apps.kubernetes.io/pod-index"] = name+"-0", "0"
		claims(pod, workload)
	case "DaemonSet":
		labels["controller-revision-hash"] = hash
	case "CronJob":
		owner["name"] = name + "-29740320"
	}
	if kind == "Job" || kind == "CronJob" {
		owner["apiVersion"], owner["kind"] = "batch/v1", "Job"
		labels["batch.kubernetes.io/job-name"], labels["job-name"] = owner["name"], owner["name"]
	}
	metadata["ownerReferences"] = []any{owner}
	if metadata["name"] = name + "-0"; kind != "StatefulSet" {
		metadata["name"] = fmt.Sprint(owner["name"], "-x7k2p")
		metadata["generateName"] = fmt.Sprint(owner["name"], "-")
	}
	return pod
}

// claims gives the first pod of a StatefulSet the volumes of its claim templates.
func claims(pod, workload object) {
	spec := pod["spec"].(object)
	volumes, _ := spec["volumes"].([]any)
	for _, claim := range list(workload, "spec", "volumeClaimTemplates") {
		name := text(claim, "metadata", "name")
		volumes = append(volumes, object{"name": name, "persistentVolumeClaim": object{"claimName": name + "-" + text(workload, "metadata", "name") + "-0"}})
	}
	if volumes != nil {
		spec["volumes"] = volumes
	}
}

// replica is a pod of which the container runs as a process of this machine.
type replica struct {
	*process
	namespace, name string
	ports           map[string]int // on this machine, by the container port's name
	atPod           map[int]int    // on this machine, by the container port
	ready           func() bool    // what its readiness probe says
}

// runPod starts the product as the first container of a stored pod asks for:
// with its arguments, its environment and its service account. Its ports become
// free ones of 127.0.0.1, and it asks the cluster's API server.
func (c *Cluster) runPod(t *testing.T, stored object) *replica {
	t.Helper()
	container := list(stored, "spec", "containers")[0]
	r := &replica{
		namespace: text(stored, "metadata", "namespace"), name: text(stored, "metadata", "name"),
		ports: map[string]int{}, atPod: map[int]int{},
	}
	for _, port := range list(container, "ports") {
		here, err := freePort()
		if err != nil {
			t.Fatal(err)
		}
		number, _ := port["containerPort"].(float64)
		r.ports[text(port, "name")], r.atPod[int(number)] = here, here
	}
	env := environment(t, stored, container)
	args := arguments(container, env)
	for i, arg := range args {
		args[i] = moveListener(arg, r.atPod)
	}
	dir := t.TempDir()
	args = append(args,
		"--kube-api", c.url,
		"--kube-ca-file", c.ca,
		"--kube-token-file", c.tokenFile(t, dir, r.namespace, text(stored, "spec", "serviceAccountName")),
	)
	p, err := start(dir, r.name, env, binary, args...)
	if err != nil {
		t.Fatal(err)
	}
	r.process = p
	r.ready = func() bool { return !p.ended() && r.probe(container, "readinessProbe") }
	name := r.namespace + "/" + r.name
	c.services.run(name, &pod{r.atPod, r.ready})
	t.Cleanup(func() {
		c.services.end(name)
		p.kill() // what is to end by itself, the tests have told to
		if t.Failed() {
			t.Logf("%s printed:\n%s", name, p.printed())
		}
	})
	return r
}

// arguments are a container's, with $(NAME) replaced. Its image's entrypoint is
// the product itself.
func arguments(container object, env []string) []string {
	var args []string
	for _, key := range []string{"command", "args"} {
		listed, _ := container[key].([]any)
		for _, arg := range listed {
			expanded := fmt.Sprint(arg)
			for _, pair := range env {
				name, value, _ := strings.Cut(pair, "=")
				expanded = strings.ReplaceAll(expanded, "$("+name+")", value)
			}
			args = append(args, expanded)
		}
	}
	return args
}

// moveListener replaces an argument that ends in a container's port, such as
// --listen=:8443 or 0.0.0.0:8443, by one with the address here.
func moveListener(arg string, atPod map[int]int) string {
	flag, address, joined := strings.Cut(arg, "=")
	if !joined {
		flag, address = "", arg
	}
	colon := strings.LastIndexByte(address, ':')
	port, err := strconv.Atoi(address[colon+1:])
	here, ok := atPod[port]
	if colon < 0 || err != nil || !ok {
		return arg
	}
	if joined {
		flag += "="
	}
	return flag + local(here)
}

// environment is a container's, where it is given by values and the pod's own fields.
func environment(t *testing.T, stored, container object) []string {
	t.Helper()
	env := []string{"PATH=" + os.Getenv("PATH")}
	for _, variable := range list(container, "env") {
		value := text(variable, "value")
		switch field := text(variable, "valueFrom", "fieldRef", "fieldPath"); field {
		case "":
		case "status.podIP":
			value = "127.0.0.1"
		default:
			if value = text(stored, strings.Split(field, ".")...); value == "" {
				t.Fatalf("the pod has no %s, which its variable %s asks for", field, text(variable, "name"))
			}
		}
		env = append(env, text(variable, "name")+"="+value)
	}
	return env
}

// tokenFile writes a token of a service account, as a kubelet asks for it.
func (c *Cluster) tokenFile(t *testing.T, dir, namespace, account string) string {
	t.Helper()
	got := c.admin.must(t, http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token",
		object{"spec": object{"expirationSeconds": 3600}})
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(text(got, "status", "token")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// probe asks a container's probe, which must be one by HTTP.
func (r *replica) probe(container object, kind string) bool {
	get, ok := dig(container, kind, "httpGet").(object)
	if !ok {
		return false
	}
	var here int
	switch port := get["port"].(type) {
	case float64:
		here = r.atPod[int(port)]
	case string:
		here = r.ports[port]
	}
	answer, err := prober.Get(strings.ToLower(text(get, "scheme")) + "://" + local(here) + text(get, "path"))
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode/100 == 2
}

// prober does not check certificates, as kubelets do not.
var prober = &http.Client{
	Timeout:   patience,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}
