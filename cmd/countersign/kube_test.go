package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/deploy/kube/kubetest"
)

// TestClusterIsAudited asks an API server that has more pods than fit a page.
func TestClusterIsAudited(t *testing.T) {
	s := kubetest.Start(t)
	for name, label := range map[string]string{"shop": "enabled", "other": "disabled"} {
		s.Put("/api/v1/namespaces/"+name, fmt.Sprintf(`{"kind":"Namespace","metadata":{"name":%q,"labels":{"countersign.dev/inject":%q}}}`, name, label))
	}
	pod := func(namespace, name, annotations, containers string) {
		s.Put("/api/v1/namespaces/"+namespace+"/pods/"+name, fmt.Sprintf(`{"kind":"Pod","metadata":{"namespace":%q,"name":%q,"annotations":{%s}},"spec":{"containers":[{"name":"app"}%s]},"status":{"phase":"Running"}}`, namespace, name, annotations, containers))
	}
	for i := range 700 {
		pod("shop", fmt.Sprintf("with-%03d", i), `"countersign.dev/status":"1 x"`, `,{"name":"countersign"}`)
	}
	pod("other", "without", "", "")
	audit := func(args ...string) (int, string, string) {
		var stdout, stderr strings.Builder
		code := execute(append([]string{"countersign", "inject", "audit", "--cluster", "--kube-api", s.Address.URL, "--kube-ca-file", s.Address.CAFile, "--kube-token-file", s.Address.TokenFile}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, _ := audit(); code != 0 || !strings.Contains(out, "0 of 700 pods are without the sidecar") {
		t.Errorf("exit %d: %s", code, out)
	}
	pod("shop", "zz-missing", "", "")
	pod("shop", "refused", `"countersign.dev/refused":"it is on the host's network: use the probe"`, "")
	code, out, _ := audit()
	if code != 1 || !strings.Contains(out, "shop/zz-missing of Pod/zz-missing: the webhook has not seen it") || !strings.Contains(out, "shop/refused of Pod/refused: it is on the host's network") || !strings.Contains(out, "2 of 702 pods") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, _ := audit("--json"); code != 1 || !strings.Contains(out, `"pod": "zz-missing"`) {
		t.Errorf("exit %d: %s", code, out)
	}
	s.Refuse(func(string, string) int { return http.StatusForbidden })
	if code, _, said := audit(); code != 3 || !strings.Contains(said, "the API server answered 403 Forbidden") {
		t.Errorf("exit %d: %s", code, said)
	}
}

// TestDeployedArgumentsAreTaken: the base's, which are the chart's with its default values. The directory without
// a certificate ends the webhook once it has read them all.
func TestDeployedArgumentsAreTaken(t *testing.T) {
	text, err := os.ReadFile("../../deploy/kustomize/base/deployment.yaml")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"countersign", "webhook"}
	for _, found := range regexp.MustCompile(`(?m)^ +- (--\S+)$`).FindAllStringSubmatch(string(text), -1) {
		args = append(args, found[1])
	}
	if len(args) < 7 {
		t.Fatalf("the base has few arguments: %q", args)
	}
	var stdout, stderr strings.Builder
	if code := execute(append(args, "--cert-dir", t.TempDir()), &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "tls.crt") {
		t.Errorf("exit %d: %s", code, stderr.String())
	}
}
