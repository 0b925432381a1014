package kube

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"
)

// TestRollingRestartRefusesNothing ends each replica as a rollout does while pods
// are created.
func TestRollingRestartRefusesNothing(t *testing.T) {
	i := install(t)
	namespace := workspace(t)
	before := failedOpen(t)
	l := startLoad(namespace)
	for n, r := range i.replicas {
		fresh := i.startReplica(t, n+len(i.replicas))
		fresh.awaitReady(t)
		// A pod that ends leaves its Services first.
		cluster.services.end(r.namespace + "/" + r.name)
		if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a replica ends when it is told to", r.ended)
		if code := r.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the replica exited with %d:\n%s", code, r.printed())
		}
	}
	l.end(t)
	if after := failedOpen(t); after != before {
		t.Errorf("the API server passed over %v calls that failed", after-before)
	}
}

// bundle has the certificates that the API server checks the webhook's against.
func (i *installation) bundle(t *testing.T) []byte {
	t.Helper()
	configuration := cluster.admin.must(t, http.MethodGet,
		"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/"+text(i.the(t, "MutatingWebhookConfiguration"), "metadata", "name"), nil)
	bundle, err := base64.StdEncoding.DecodeString(text(list(configuration, "webhooks")[0], "clientConfig", "caBundle"))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// authorities are the names of the certificates in the bundle.
func (i *installation) authorities(t *testing.T) []string {
	t.Helper()
	return namesOf(t, i.bundle(t))
}

func namesOf(t *testing.T, bundle []byte) (names []string) {
	t.Helper()
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return names
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, cert.SerialNumber.String())
	}
}

// TestRotationRefusesNothing has every certificate replaced, the authority's too,
// while pods are created: until nothing of what was trusted at first is.
func TestRotationRefusesNothing(t *testing.T) {
	i := install(t, "certificates.authorityLifetime=30s", "certificates.certificateLifetime=10s")
	namespace := workspace(t)
	first := i.authorities(t)
	if len(first) == 0 {
		t.Fatal("the webhook is ready and the API server has no certificate to trust it by")
	}
	before := failedOpen(t)
	l := startLoad(namespace)
	i.awaitOthers(t, first)
	l.end(t)
	if after := failedOpen(t); after != before {
		t.Errorf("the API server passed over %v calls that failed", after-before)
	}
}

// late is how long after others an API server may hear of a caBundle, and still trust
// every replica: a third of what an authority that lives half a minute is given.
const late = time.Second

// awaitOthers waits until none of the authorities is trusted any more, and others are,
// by which all replicas serve. All the time it connects to each replica as a late
// API server would: the real one keeps its connections, and checks few certificates.
func (i *installation) awaitOthers(t *testing.T, first []string) {
	t.Helper()
	type sight struct {
		at     time.Time
		bundle []byte
	}
	var seen []sight
	eventually(t, "the authorities are replaced", func() bool {
		seen = append(seen, sight{time.Now(), i.bundle(t)})
		seen = slices.DeleteFunc(seen, func(s sight) bool { return time.Since(s.at) > late })
		if len(seen) == 0 {
			return false // the answer was late itself
		}
		if err := i.connect(t, seen[0].bundle); err != nil {
			t.Error(err)
			return true
		}
		now := namesOf(t, seen[len(seen)-1].bundle)
		return len(now) > 0 && !slices.ContainsFunc(now, func(one string) bool { return slices.Contains(first, one) })
	})
	for _, r := range i.replicas {
		r.awaitReady(t)
	}
}

// connect checks the certificate of each replica against a bundle.
func (i *installation) connect(t *testing.T, bundle []byte) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	service := text(i.the(t, "Service"), "metadata", "name") + "." + i.namespace + ".svc"
	for _, r := range i.replicas {
		conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", local(r.ports["webhook"]), &tls.Config{RootCAs: roots, ServerName: service})
		if err != nil {
			return fmt.Errorf("an API server that is %v late does not trust %s: %w", late, r.name, err)
		}
		conn.Close()
	}
	return nil
}
