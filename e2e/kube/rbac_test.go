package kube

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// grant is one verb that a role of the chart grants of one resource.
type grant struct {
	kind, role string // Role or ClusterRole, and its name
	rule       int    // where it stands in the role
	verb       string
	key, of    string // of is one of the resources or nonResourceURLs, as key says
	group, one string // one is the only object, or empty for all
}

// what is the grant in few words, such as get secrets.
func (g grant) what() string { return g.verb + " " + g.of }

// grants are all that the roles of an installation grant.
func (i *installation) grants() []grant {
	var all []grant
	for _, o := range i.manifests {
		kind := text(o, "kind")
		if kind != "Role" && kind != "ClusterRole" {
			continue
		}
		for r, rule := range list(o, "rules") {
			for _, verb := range texts(rule, "verbs") {
				for _, key := range []string{"resources", "nonResourceURLs"} {
					for _, of := range texts(rule, key) {
						all = append(all, grant{
							kind: kind, role: text(o, "metadata", "name"), rule: r, verb: verb, key: key, of: of,
							group: strings.Join(texts(rule, "apiGroups"), " "), one: strings.Join(texts(rule, "resourceNames"), " "),
						})
					}
				}
			}
		}
	}
	return all
}

// path is where the API server has the grant's role.
func (i *installation) path(g grant) string {
	if g.kind == "ClusterRole" {
		return "/apis/rbac.authorization.k8s.io/v1/clusterroles/" + g.role
	}
	return "/apis/rbac.authorization.k8s.io/v1/namespaces/" + i.namespace + "/roles/" + g.role
}

// without takes one verb of one resource from its role, and waits until the API
// server has taken notice.
func (i *installation) without(t *testing.T, g grant) {
	t.Helper()
	role := cluster.admin.must(t, http.MethodGet, i.path(g), nil)
	var rules []any
	for r, rule := range list(role, "rules") {
		if r != g.rule {
			rules = append(rules, rule)
			continue
		}
		// The rule becomes one for each resource, of which the grant's lacks the verb.
		for _, of := range texts(rule, g.key) {
			verbs := texts(rule, "verbs")
			if of == g.of {
				verbs = slices.DeleteFunc(verbs, func(verb string) bool { return verb == g.verb })
			}
			if len(verbs) > 0 {
				less := clone(rule)
				less[g.key], less["verbs"] = []any{of}, verbs
				rules = append(rules, less)
			}
		}
	}
	if rules == nil {
		rules = []any{}
	}
	cluster.admin.must(t, http.MethodPatch, i.path(g), object{"rules": rules})
	eventually(t, "the webhook's service account may no longer "+g.what(), func() bool { return !i.may(t, g) })
}

// may reports whether the service account that a grant's role is bound to has what
// it grants.
func (i *installation) may(t *testing.T, g grant) bool {
	t.Helper()
	spec := object{"user": "system:serviceaccount:" + i.namespace + ":" + i.bound(t, g), "groups": []any{"system:serviceaccounts", "system:authenticated"}}
	if g.key == "nonResourceURLs" {
		spec["nonResourceAttributes"] = object{"verb": g.verb, "path": g.of}
	} else {
		asked := object{"verb": g.verb, "group": g.group, "resource": g.of, "name": g.one}
		if g.kind == "Role" {
			asked["namespace"] = i.namespace
		}
		spec["resourceAttributes"] = asked
	}
	review := cluster.admin.must(t, http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", object{"spec": spec})
	return dig(review, "status", "allowed") == true
}

// bound is the name of the service account that a grant's role is bound to.
func (i *installation) bound(t *testing.T, g grant) string {
	t.Helper()
	for _, o := range i.manifests {
		if text(o, "kind") == g.kind+"Binding" && text(o, "roleRef", "name") == g.role {
			return text(list(o, "subjects")[0], "name")
		}
	}
	t.Fatalf("%s %s is bound to nobody", g.kind, g.role)
	return ""
}

// TestNoGrantIsWide: no role of the chart's grants everything of anything, or the
// reading of every Secret.
func TestNoGrantIsWide(t *testing.T) {
	for _, o := range documents(t, render(t, "countersign", "countersign-system", "--set", "audit.enabled=true")) {
		if kind := text(o, "kind"); kind != "Role" && kind != "ClusterRole" {
			continue
		}
		for _, rule := range list(o, "rules") {
			said := pretty(rule)
			if strings.Contains(said, `"*"`) {
				t.Errorf("%s grants everything of something:\n%s", text(o, "metadata", "name"), said)
			}
			for _, resource := range rule["resources"].([]any) {
				verbs := fmt.Sprint(rule["verbs"])
				named := rule["resourceNames"] != nil || verbs == "[create]" // of which no name can be given
				if slices.Contains([]any{"secrets", "mutatingwebhookconfigurations"}, resource) && !named {
					t.Errorf("%s lets %s any of the %s:\n%s", text(o, "metadata", "name"), verbs, resource, said)
				}
			}
		}
	}
}

// audit runs what the chart's CronJob for it does, as its service account.
func (i *installation) audit(t *testing.T) output {
	t.Helper()
	spec, _ := dig(template(i.the(t, "CronJob")), "spec").(object)
	args := append(arguments(list(spec, "containers")[0], nil), "--kube-api", cluster.url, "--kube-ca-file", cluster.ca,
		"--kube-token-file", cluster.tokenFile(t, t.TempDir(), i.namespace, text(spec, "serviceAccountName")))
	return runProgram(t, "", nil, binary, args...)
}

// uses are what each grant of the chart's is for, which does not work without it.
var uses = map[string]func(t *testing.T, i *installation, r *replica) (works bool){
	"get secrets":                         becomesReady,
	"patch secrets":                       becomesReady,
	"get mutatingwebhookconfigurations":   becomesReady,
	"patch mutatingwebhookconfigurations": becomesReady,
	"get namespaces":                      injectsProbe,
	"list namespaces":                     audits,
	"list pods":                           audits,
}

// becomesReady: a replica that starts in a cluster that has no authority yet.
func becomesReady(t *testing.T, _ *installation, r *replica) bool {
	t.Helper()
	eventually(t, "the replica is ready or says that it may not do something", func() bool {
		return r.ready() || strings.Contains(r.printed(), "answered 403")
	})
	return r.ready()
}

// injectsProbe: the probe goes only where the namespace allows what it needs.
func injectsProbe(t *testing.T, _ *installation, r *replica) bool {
	t.Helper()
	r.awaitReady(t)
	probe := podOf(api(), "probe")
	probe["metadata"].(object)["annotations"] = object{"countersign.dev/sensor": "ebpf"}
	pod, _, err := create(workspace(t), probe, true)
	if err != nil {
		t.Fatal(err)
	}
	return injected(pod)
}

// audits: the audit of the whole cluster.
func audits(t *testing.T, i *installation, _ *replica) bool {
	t.Helper()
	out := i.audit(t)
	refused := out.code == 3 && strings.Contains(out.stderr, "answered 403")
	if !refused && out.code != 0 {
		t.Fatalf("the audit exited with %d:\n%s%s", out.code, out.stdout, out.stderr)
	}
	return !refused
}

// TestEachGrantIsNeeded takes each verb from its role, and what it is for works
// no longer.
func TestEachGrantIsNeeded(t *testing.T) {
	t.Run("with all", func(t *testing.T) {
		i := installObjects(t, "audit.enabled=true")
		r := i.startReplica(t, 0)
		for what, works := range uses {
			if !works(t, i, r) {
				t.Fatalf("with all grants in place, what %s is for does not work", what)
			}
		}
	})
	var granted []string
	for _, o := range documents(t, render(t, "countersign", "countersign-system", "--set", "audit.enabled=true")) {
		for _, g := range (&installation{manifests: []object{o}}).grants() {
			granted = append(granted, g.what())
		}
	}
	for n, what := range granted {
		t.Run(what, func(t *testing.T) {
			works, known := uses[what]
			if !known {
				t.Fatalf("nobody knows what the chart grants this for: %s", what)
			}
			i := installObjects(t, "audit.enabled=true")
			i.without(t, i.grants()[n])
			if works(t, i, i.startReplica(t, 0)) {
				t.Errorf("what %s is for works without it", what)
			}
		})
	}
	for what := range uses {
		if !slices.Contains(granted, what) {
			t.Errorf("the chart does not grant %s", what)
		}
	}
}
