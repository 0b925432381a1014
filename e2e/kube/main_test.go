// Package kube runs the built webhook, its chart and the command line against a
// real kube-apiserver over a real etcd, with the real kubectl and helm. They
// are built from their modules by .ci/kube, which runs these tests.
//
// There is no kubelet and no controller. The tests do what those would: they
// create pods from a workload's template, start the webhook's containers as
// processes, and route what the API server sends to a Service.
package kube

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	// programs is where .ci/kube keeps kube-apiserver, etcd, kubectl and helm.
	programs string
	// binary is the product under test, built as a release is.
	binary string
	// cluster is the API server that all tests share.
	cluster *Cluster
)

// product is the root of the product's tree.
const product = "../.."

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if programs = os.Getenv("COUNTERSIGN_KUBE"); programs == "" {
		fmt.Fprintln(os.Stderr, "COUNTERSIGN_KUBE does not say where kube-apiserver and etcd are: run .ci/kube, which builds them")
		return 1
	}
	dir, err := os.MkdirTemp("", "countersign-kube-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot make a directory for the cluster:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = buildProduct(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if cluster, err = startCluster(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer cluster.stop()
	return m.Run()
}

func buildProduct(dir string) (string, error) {
	binary := filepath.Join(dir, "countersign")
	build := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", binary, "./cmd/countersign")
	build.Dir = product
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "PWD=") // not this directory's
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot build the product: %w\n%s", err, out)
	}
	return binary, nil
}
