package inject

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const unseen = "the webhook has not seen it: it was down, or the pod is older; replace the pod"

func namespaceJSON(name, label string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q,"labels":{"countersign.dev/inject":%q}}}`, name, label)
}

// podJSON is a pod with members of its metadata, spec and status.
func podJSON(namespace, name, metadata, spec, phase string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":%q,"name":%q%s},"spec":{"containers":[{"name":"a"}]%s},"status":{"phase":%q}}`, namespace, name, metadata, spec, phase)
}

func list(kind string, items ...string) string {
	return fmt.Sprintf(`{"apiVersion":"v1","kind":%q,"items":[%s]}`, kind, strings.Join(items, ","))
}

func TestAuditFindsPodsWithoutTheSidecar(t *testing.T) {
	const carries = `,"annotations":{"countersign.dev/status":"v1 sha256:0"}`
	const deleted = `"deletionTimestamp":"2030-01-01T00:00:00Z"`
	const container = `,"initContainers":[{"name":"countersign"}]`
	var a Audit
	for _, text := range []string{
		list("List", namespaceJSON("shop", "enabled"), strings.Replace(namespaceJSON("going", "enabled"), `"labels"`, deleted+`,"labels"`, 1), namespaceJSON("kube-system", "enabled"), namespaceJSON("plain", ""),
			podJSON("shop", "with", carries, container, "Running"),
			podJSON("shop", "stripped", carries, "", "Running"),
			podJSON("shop", "without-7d4b9c-x2", `,"labels":{"pod-template-hash":"7d4b9c"},"ownerReferences":[{"kind":"ReplicaSet","name":"without-7d4b9c","controller":true}]`, "", "Pending"),
			podJSON("shop", "refused", `,"annotations":{"countersign.dev/refused":"it has no port"}`, "", "Running"),
			podJSON("shop", "declines", `,"labels":{"countersign.dev/inject":"disabled"}`, "", "Running"),
			podJSON("shop", "done", "", "", "Succeeded"),
			podJSON("shop", "ending", ","+deleted, "", "Running"),
			podJSON("going", "stays-until-the-last", "", "", "Running"),
			podJSON("shop", "static", `,"annotations":{"kubernetes.io/config.mirror":"x"}`, "", "Running"),
			podJSON("kube-system", "dns", "", "", "Running"),
			podJSON("plain", "other", "", "", "Running")),
		list("PodList", strings.Replace(podJSON("late", "backup-28401-ab", `,"ownerReferences":[{"kind":"Job","name":"backup-28401230","controller":true}]`, "", "Running"), `"kind":"Pod",`, "", 1)),
		list("NamespaceList", strings.Replace(namespaceJSON("late", "enabled"), `"kind":"Namespace",`, "", 1)),
	} {
		if err := a.Read(strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := a.Report()
	want := Report{Namespaces: 2, Pods: 5, Missing: []Missing{
		{"late", "backup-28401-ab", "CronJob/backup", unseen},
		{"shop", "refused", "Pod/refused", "it has no port"},
		{"shop", "stripped", "Pod/stripped", unseen},
		{"shop", "without-7d4b9c-x2", "Deployment/without", unseen},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v\nwant %+v", got, err, want)
	}
}

func TestAuditRefusesWhatIsNoList(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "the list is empty"},
		{"apiVersion: v1", "cannot read the list"},
		{podJSON("a", "b", "", "", ""), `the list is of the kind "Pod"`},
		{list("List", `{"kind":"Pod"}`), "an object of the list has no metadata"},
		{list("List", `{"kind":"Pod","metadata":7}`), "cannot read an object of the list"},
		{list("List", podJSON("nowhere", "b", "", "", "")), "the namespace nowhere of the pod b is in no list"},
	} {
		var a Audit
		err := a.Read(strings.NewReader(tt.text))
		if err == nil {
			_, err = a.Report()
		}
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
		}
	}
}

func TestOwners(t *testing.T) {
	for _, tt := range []struct{ metadata, want string }{
		{`,"generateName":"web-"`, "Pod/x"},
		{`,"ownerReferences":[{"kind":"ReplicaSet","name":"web-5d9","controller":true}],"labels":{"pod-template-hash":"5d9"}`, "Deployment/web"},
		{`,"ownerReferences":[{"kind":"ReplicaSet","name":"web-5d9","controller":true}]`, "ReplicaSet/web-5d9"},
		{`,"ownerReferences":[{"kind":"ReplicaSet","name":"web-5d9","controller":true}],"labels":{"pod-template-hash":"zzz"}`, "ReplicaSet/web-5d9"},
		{`,"ownerReferences":[{"kind":"StatefulSet","name":"db","controller":true}]`, "StatefulSet/db"},
		{`,"ownerReferences":[{"kind":"Node","name":"n1"}]`, "Pod/x"},
		{`,"ownerReferences":[{"kind":"Job","name":"nightly-28401230","controller":true}]`, "CronJob/nightly"},
		{`,"ownerReferences":[{"kind":"Job","name":"nightly-2840","controller":true}]`, "Job/nightly-2840"},
	} {
		o, err := OwnerOf([]byte(podJSON("", "x", tt.metadata, "", "")), "shop")
		if got := o.Kind + "/" + o.Name; err != nil || got != tt.want || o.Namespace != "shop" {
			t.Errorf("%s: %s in %q, %v, want %s", tt.metadata, got, o.Namespace, err, tt.want)
		}
	}
	o, err := OwnerOf([]byte(`{"metadata":{"generateName":"web-5d9-"},"spec":{"containers":[{"name":"a"}]}}`), "shop")
	if err != nil || o.Name != "web-5d9" {
		t.Errorf("%+v, %v", o, err)
	}
}
