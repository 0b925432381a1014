package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/countersign-dev/countersign/deploy/kube"
	"github.com/countersign-dev/countersign/deploy/kube/kubetest"
)

type object struct {
	Metadata struct {
		Name            string `json:"name,omitempty"`
		ResourceVersion string `json:"resourceVersion,omitempty"`
	} `json:"metadata"`
	Data map[string]string `json:"data,omitempty"`
}

const secrets = "/api/v1/namespaces/n/secrets"

func TestCreateGetPatch(t *testing.T) {
	s := kubetest.Start(t)
	c := s.Client(t)
	ctx := context.Background()

	var got object
	if err := c.Get(ctx, secrets+"/one", &got); !kube.Is(err, http.StatusNotFound) {
		t.Fatalf("what is not there: %v", err)
	}
	var made object
	made.Metadata.Name, made.Data = "one", map[string]string{"a": "1"}
	if err := c.Create(ctx, secrets, made, &got); err != nil {
		t.Fatal(err)
	}
	first := got.Metadata.ResourceVersion
	if err := c.Create(ctx, secrets, made, &object{}); !kube.Is(err, http.StatusConflict) {
		t.Fatalf("what is there already: %v", err)
	}

	patch := object{Data: map[string]string{"b": "2"}}
	patch.Metadata.ResourceVersion = first
	if err := c.Patch(ctx, secrets+"/one", kube.Merge, patch, &got); err != nil {
		t.Fatal(err)
	}
	if got.Data["a"] != "1" || got.Data["b"] != "2" || got.Metadata.ResourceVersion == first {
		t.Fatalf("merged: %+v", got)
	}
	if err := c.Patch(ctx, secrets+"/one", kube.Merge, patch, &object{}); !kube.Is(err, http.StatusConflict) {
		t.Fatalf("a patch of an older version: %v", err)
	}
}

func TestRefusalsAreSentences(t *testing.T) {
	s := kubetest.Start(t)
	s.Refuse(func(string, string) int { return http.StatusForbidden })
	err := s.Client(t).Get(context.Background(), "/api/v1/namespaces/n", &object{})
	if want := "the API server answered 403 Forbidden: refused by the test"; err == nil || err.Error() != want {
		t.Fatalf("%v, want %s", err, want)
	}
}

// TestTokenIsReadForEveryRequest exchanges the token, as kubelets do every hour.
func TestTokenIsReadForEveryRequest(t *testing.T) {
	s := kubetest.Start(t)
	s.Put("/version", `{"gitVersion":"v1.36.3"}`)
	c := s.Client(t)
	write := func(token string) {
		if err := os.WriteFile(s.Address.TokenFile, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("an old one")
	if _, err := c.Version(context.Background()); !kube.Is(err, http.StatusUnauthorized) {
		t.Fatalf("with an old token: %v", err)
	}
	write(kubetest.Token)
	if _, err := c.Version(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestServerIsChecked(t *testing.T) {
	address, other := kubetest.Start(t).Address, kubetest.Start(t)
	address.CAFile = ""
	c, err := kube.New(address)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(context.Background()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a server whose certificate nobody vouches for: %v", err)
	}
	if asked := other.Asked(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

func TestVersion(t *testing.T) {
	for said, want := range map[string]kube.Version{
		"v1.36.3": {Major: 1, Minor: 36}, "v1.28.9-eks-036c24b": {Major: 1, Minor: 28}, "v1.29.0+rke2r1": {Major: 1, Minor: 29}, "v1.30.0-alpha.1": {Major: 1, Minor: 30},
	} {
		s := kubetest.Start(t)
		s.Put("/version", fmt.Sprintf(`{"major":"1","minor":"28+","gitVersion":%q}`, said))
		if got, err := s.Client(t).Version(context.Background()); err != nil || got != want {
			t.Errorf("%s: %v, %v", said, got, err)
		}
	}
	s := kubetest.Start(t)
	s.Put("/version", `{"gitVersion":"unversioned"}`)
	if _, err := s.Client(t).Version(context.Background()); err == nil {
		t.Error("a version that is none was taken")
	}
	if !(kube.Version{Major: 1, Minor: 28}).Less(kube.Version{Major: 1, Minor: 29}) || (kube.Version{Major: 2}).Less(kube.Version{Major: 1, Minor: 29}) {
		t.Error("versions are not in order")
	}
}

func TestListReadsEveryPage(t *testing.T) {
	s := kubetest.Start(t)
	for i := range 1203 {
		s.Put(fmt.Sprintf("/api/v1/namespaces/n%d/pods/p%04d", i%3, i), fmt.Sprintf(`{"kind":"Pod","metadata":{"name":"p%04d"}}`, i))
	}
	seen := map[string]bool{}
	err := s.Client(t).List(context.Background(), "/api/v1/pods", func(page []byte) error {
		var list struct {
			Kind  string   `json:"kind"`
			Items []object `json:"items"`
		}
		err := json.Unmarshal(page, &list)
		if list.Kind != "PodList" {
			t.Errorf("a page is a %q", list.Kind)
		}
		for _, p := range list.Items {
			seen[p.Metadata.Name] = true
		}
		return err
	})
	if err != nil || len(seen) != 1203 {
		t.Fatalf("%d pods, %v", len(seen), err)
	}
	if n := len(s.Asked()); n != 3 {
		t.Errorf("%d requests for three pages", n)
	}
	stop := errors.New("stop")
	if err := s.Client(t).List(context.Background(), "/api/v1/pods", func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped by %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, wrong := range []kube.Server{
		{URL: ""}, {URL: "10.0.0.1:6443"}, {URL: "ftp://10.0.0.1"}, {URL: "https://10.0.0.1/api"}, {URL: "https://u:p@10.0.0.1"}, {URL: "http://10.0.0.1", TokenFile: "token"},
	} {
		if _, err := kube.New(wrong); err == nil {
			t.Errorf("%+v was taken", wrong)
		}
	}
	if _, err := kube.New(kube.Server{URL: "http://127.0.0.1:8001"}); err != nil {
		t.Errorf("kubectl proxy: %v", err)
	}
	env := map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
	if s, err := kube.InCluster(func(name string) string { return env[name] }); err != nil || s.URL != "https://[fd00::1]:443" {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := kube.InCluster(func(string) string { return "" }); err == nil {
		t.Error("outside of a cluster there is an API server")
	}
}
