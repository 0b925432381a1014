package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Cluster is an API server over its own etcd. Nothing else of Kubernetes runs.
type Cluster struct {
	dir        string
	url        string // of the API server
	ca         string // file with the certificate that the API server is to be trusted by
	kubeconfig string // file with the administrator's credentials
	admin      *client
	services   *services
	processes  []*process // in the order they were started
}

// The administrator's credentials, good for this API server alone.
const adminToken = "administrator-of-a-cluster-for-tests"

// startCluster starts etcd and kube-apiserver and waits until they serve.
func startCluster(dir string) (*Cluster, error) {
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = freePort(); err != nil {
			return nil, err
		}
	}
	client, peer, secure := "http://"+local(ports[0]), "http://"+local(ports[1]), ports[2]
	c := &Cluster{
		dir:        dir,
		url:        "https://" + local(secure),
		ca:         filepath.Join(dir, "apiserver", "apiserver.crt"),
		kubeconfig: filepath.Join(dir, "kubeconfig"),
	}
	if err := c.startEtcd(client, peer); err != nil {
		return nil, err
	}
	if err := c.startAPIServer(client, secure); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) startEtcd(client, peer string) error {
	etcd, err := c.start("etcd",
		"--data-dir", filepath.Join(c.dir, "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
		"--unsafe-no-fsync", // it need not survive the machine
	)
	if err != nil {
		return err
	}
	err = etcd.awaitHealthy("etcd", func() bool {
		answer, err := http.Get(client + "/health")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	if err != nil {
		c.stop()
	}
	return err
}

func (c *Cluster) startAPIServer(etcd string, port int) error {
	files, err := c.writeCredentials()
	if err != nil {
		return err
	}
	if c.services, err = serveServices(filepath.Join(c.dir, "services.sock")); err != nil {
		return err
	}
	egress := filepath.Join(c.dir, "egress.yaml")
	if err := os.WriteFile(egress, c.services.egress(), 0o600); err != nil {
		return err
	}
	server, err := c.start("kube-apiserver",
		"--etcd-servers", etcd,
		"--bind-address", "127.0.0.1", "--secure-port", fmt.Sprint(port), "--cert-dir", filepath.Dir(c.ca),
		"--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none",
		"--service-cluster-ip-range", "10.96.0.0/16", "--allow-privileged",
		"--egress-selector-config-file", egress,
		"--authorization-mode", "RBAC",
		"--token-auth-file", files.tokens,
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file", files.key, "--service-account-signing-key-file", files.key,
	)
	if err != nil {
		return err
	}
	return server.awaitHealthy("kube-apiserver", func() bool {
		// The API server makes its certificate itself when it starts.
		admin, err := newClient(c.url, c.ca, adminToken)
		if err != nil {
			return false
		}
		if status, _, err := admin.send(http.MethodGet, "/readyz", "", nil); err != nil || status != http.StatusOK {
			return false
		}
		c.admin = admin
		c.services.look(admin)
		return true
	})
}

// start runs one of the cluster's own programs.
func (c *Cluster) start(name string, args ...string) (*process, error) {
	p, err := start(c.dir, name, os.Environ(), filepath.Join(programs, name), args...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

// stop ends the API server before what it depends on.
func (c *Cluster) stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].kill()
	}
	if c.services != nil {
		c.services.close()
	}
}

// credentials are the files that the API server knows its users by.
type credentials struct{ tokens, key string }

func (c *Cluster) writeCredentials() (credentials, error) {
	files := credentials{filepath.Join(c.dir, "tokens.csv"), filepath.Join(c.dir, "service-accounts.key")}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return files, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return files, err
	}
	kubeconfig := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: e2e, context: {cluster: e2e, user: admin}}]
current-context: e2e
`, c.url, c.ca, adminToken)
	return files, errors.Join(
		os.WriteFile(files.tokens, []byte(adminToken+`,admin,admin,"system:masters"`+"\n"), 0o600),
		os.WriteFile(files.key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600),
		os.WriteFile(c.kubeconfig, []byte(kubeconfig), 0o600),
	)
}

// output is what a program has printed, and whether it failed.
type output struct {
	stdout, stderr string
	code           int
}

// tool runs kubectl or helm as the cluster's administrator with no other
// configuration than the cluster's.
func (c *Cluster) tool(t *testing.T, stdin, name string, args ...string) output {
	t.Helper()
	return runProgram(t, stdin, []string{"KUBECONFIG=" + c.kubeconfig, "HOME=" + c.dir, "PATH=" + os.Getenv("PATH")},
		filepath.Join(programs, name), args...)
}

// mustTool is tool for what has to succeed.
func (c *Cluster) mustTool(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out := c.tool(t, stdin, name, args...)
	if out.code != 0 {
		t.Fatalf("%s %s exited with %d:\n%s%s", name, strings.Join(args, " "), out.code, out.stdout, out.stderr)
	}
	return out.stdout
}

// runProgram runs a program to its end. Cleanups may use it as well, for which the
// test's own context has ended.
func runProgram(t *testing.T, stdin string, env []string, program string, args ...string) output {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(stdin), &stdout, &stderr, env
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("cannot run %s: %v", program, err)
	}
	return output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}
