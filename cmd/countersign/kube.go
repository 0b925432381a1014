package main

import (
	"bytes"
	"os"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/deploy/kube"
)

// kubeFlags say which API server is asked, where it is not that of the pod's own cluster.
func kubeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{
			Name: "kube-api", EnvVars: []string{"COUNTERSIGN_KUBE_API"},
			Usage: "`URL` of the API server; that of the cluster that this is a pod of without",
		},
		&cli.StringFlag{
			Name: "kube-token-file", EnvVars: []string{"COUNTERSIGN_KUBE_TOKEN_FILE"},
			Usage: "`FILE` with the token that the API server is asked with; read for every request",
		},
		&cli.StringFlag{
			Name: "kube-ca-file", EnvVars: []string{"COUNTERSIGN_KUBE_CA_FILE"},
			Usage: "PEM `FILE` with the certificates that the API server's is checked against; those of the system without",
		},
	}
}

// kubeClient is a client of the API server that the flags name.
func kubeClient(c *cli.Context) (*kube.Client, error) {
	server := kube.Server{URL: c.String("kube-api"), TokenFile: c.String("kube-token-file"), CAFile: c.String("kube-ca-file")}
	if server.URL == "" {
		if server.TokenFile != "" || server.CAFile != "" {
			return nil, usageError{"--kube-token-file and --kube-ca-file are for the API server that --kube-api names: name one, or leave them out"}
		}
		var err error
		if server, err = kube.InCluster(os.Getenv); err != nil {
			return nil, err
		}
	}
	return kube.New(server)
}

// readCluster has the audit take in what the API server says.
func readCluster(c *cli.Context, a *inject.Audit) error {
	client, err := kubeClient(c)
	if err != nil {
		return err
	}
	// In this order a namespace that is made meanwhile is known when its pods are judged.
	for _, path := range []string{"/api/v1/pods", "/api/v1/namespaces"} {
		if err := client.List(c.Context, path, func(page []byte) error { return a.Read(bytes.NewReader(page)) }); err != nil {
			return err
		}
	}
	return nil
}
