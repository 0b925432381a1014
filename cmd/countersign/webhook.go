package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/config"
	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/deploy/webhook"
	"github.com/countersign-dev/countersign/proxy"
)

// namespaceFile is where a pod finds the name of its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

func webhookFlags() []cli.Flag {
	terms := webhook.DefaultTerms()
	own := []cli.Flag{
		&cli.StringFlag{Name: "listen", Value: ":8443", EnvVars: []string{"COUNTERSIGN_WEBHOOK_LISTEN"}, Usage: "HOST:PORT where API servers send pods, over TLS"},
		&cli.StringFlag{Name: "metrics", Value: ":9090", EnvVars: []string{"COUNTERSIGN_WEBHOOK_METRICS"}, Usage: "HOST:PORT of /metrics, /healthz and /readyz, in the clear"},
		&cli.StringSliceFlag{Name: "default", EnvVars: []string{"COUNTERSIGN_WEBHOOK_DEFAULT"}, Usage: "`NAME=VALUE` of an option of sidecars whose pods say nothing of it, by the name of its annotation without countersign.dev/; may be given again"},
		&cli.StringFlag{Name: "native", Value: "auto", EnvVars: []string{"COUNTERSIGN_WEBHOOK_NATIVE"}, Usage: "whether sidecars are init containers that keep running: true, false, or auto to go by the cluster's version"},
		&cli.StringFlag{Name: "namespace", EnvVars: []string{"COUNTERSIGN_WEBHOOK_NAMESPACE"}, Usage: "`NAME` of the namespace that this runs in; the pod's without"},
		&cli.StringFlag{Name: "service", Value: "countersign-webhook", EnvVars: []string{"COUNTERSIGN_WEBHOOK_SERVICE"}, Usage: "`NAME` of the Service by which API servers reach the webhook"},
		&cli.StringSliceFlag{Name: "name", EnvVars: []string{"COUNTERSIGN_WEBHOOK_NAME"}, Usage: "a further `NAME` or address for the certificate, where API servers reach the webhook by a URL; may be given again"},
		&cli.StringFlag{Name: "secret", Value: "countersign-webhook-authorities", EnvVars: []string{"COUNTERSIGN_WEBHOOK_SECRET"}, Usage: "`NAME` of the Secret in which replicas share the authorities that sign their certificates"},
		&cli.StringFlag{Name: "configuration", Value: "countersign-webhook", EnvVars: []string{"COUNTERSIGN_WEBHOOK_CONFIGURATION"}, Usage: "`NAME` of the MutatingWebhookConfiguration whose caBundle has these authorities"},
		&cli.DurationFlag{Name: "authority-lifetime", Value: terms.Authority, EnvVars: []string{"COUNTERSIGN_WEBHOOK_AUTHORITY_LIFETIME"}, Usage: "how long an authority is trusted; it is replaced in the last third, and signs after a tenth or 5m"},
		&cli.DurationFlag{Name: "certificate-lifetime", Value: terms.Certificate, EnvVars: []string{"COUNTERSIGN_WEBHOOK_CERTIFICATE_LIFETIME"}, Usage: "how long a certificate is good, a third of an authority at most; it is replaced in the last third"},
		&cli.StringFlag{Name: "cert-dir", EnvVars: []string{"COUNTERSIGN_WEBHOOK_CERT_DIR"}, Usage: "`DIR` with tls.crt and tls.key, as of cert-manager, read again when they change; Secret and caBundle are left alone"},
		&cli.DurationFlag{Name: "drain", Value: 10 * time.Second, EnvVars: []string{"COUNTERSIGN_WEBHOOK_DRAIN"}, Usage: "how long to answer after SIGTERM, as API servers go on sending until they have heard of it"},
	}
	logging := []cli.Flag{
		&cli.StringFlag{Name: "log-level", Value: "info", EnvVars: []string{"COUNTERSIGN_LOG_LEVEL"}, Usage: "debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", Value: "text", EnvVars: []string{"COUNTERSIGN_LOG_FORMAT"}, Usage: "text or json"},
	}
	return slices.Concat(own, kubeFlags(), logging)
}

func webhookCommand() *cli.Command {
	return &cli.Command{
		Name:  "webhook",
		Usage: "add the sidecar to the pods of a Kubernetes cluster as they are made",
		Flags: webhookFlags(),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			log, err := flagLog(c)
			if err != nil {
				return err
			}
			w, err := newWebhook(c, log)
			if err != nil {
				return err
			}
			return serveWebhook(c, w, log)
		},
	}
}

// flagLog is the log that --log-level and --log-format ask for.
func flagLog(c *cli.Context) (*slog.Logger, error) {
	for _, f := range config.Fields() {
		if f.Flag != "log-level" && f.Flag != "log-format" {
			continue
		}
		if err := f.Check(c.String(f.Flag)); err != nil {
			return nil, usageError{fmt.Sprintf("--%s %v", f.Flag, err)}
		}
	}
	log, _ := newLog(config.Config{Log: config.Log{Level: c.String("log-level"), Format: c.String("log-format")}}, c.App.ErrWriter)
	return log, nil
}

func newWebhook(c *cli.Context, log *slog.Logger) (*webhook.Webhook, error) {
	b := buildInfo()
	cfg := webhook.Config{
		Namespace: c.String("namespace"), Secret: c.String("secret"), Registration: c.String("configuration"),
		Terms: webhook.Terms{Authority: c.Duration("authority-lifetime"), Certificate: c.Duration("certificate-lifetime")},
		Drain: c.Duration("drain"), Build: webhook.Build{Version: b.Version, Revision: b.Revision, Go: b.Go}, Log: log,
	}
	if cfg.Drain < 0 || cfg.Drain > time.Minute {
		return nil, usageError{fmt.Sprintf("--drain is %v: it must be 0 to 1m", cfg.Drain)}
	}
	var err error
	if cfg.Native, err = nativeFlag(c.String("native")); err != nil {
		return nil, err
	}
	if cfg.Defaults, err = defaultOptions(c.StringSlice("default")); err != nil {
		return nil, err
	}
	cfg.Defaults.Version = b.Version
	if err := addIdentity(c, &cfg); err != nil {
		return nil, err
	}
	return webhook.New(cfg)
}

// addIdentity adds the certificate, or what it takes to make one, and the API server
// where it is asked for anything.
func addIdentity(c *cli.Context, cfg *webhook.Config) error {
	if dir := c.String("cert-dir"); dir != "" {
		loaded, err := proxy.OpenCertificate(filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), cfg.Log)
		if err != nil {
			return err
		}
		cfg.Certificate = loaded
		client, err := kubeClient(c)
		if err != nil && cfg.Native == nil {
			return fmt.Errorf("%w; or give --native true or false, so that the cluster's version need not be asked for", err)
		}
		cfg.Kube = client
		return nil
	}
	if cfg.Namespace == "" {
		text, err := os.ReadFile(namespaceFile)
		if err != nil {
			return errors.New("the namespace is not known, as this is no pod of a cluster: name it with --namespace")
		}
		cfg.Namespace = strings.TrimSpace(string(text))
	}
	cfg.Names = append([]string{c.String("service") + "." + cfg.Namespace + ".svc"}, c.StringSlice("name")...)
	var err error
	cfg.Kube, err = kubeClient(c)
	return err
}

// nativeFlag is nil for auto.
func nativeFlag(s string) (*bool, error) {
	switch s {
	case "auto":
		return nil, nil
	case "true", "false":
		native := s == "true"
		return &native, nil
	}
	return nil, usageError{fmt.Sprintf("--native must be auto, true or false, not %q", s)}
}

// defaultOptions are the options of a sidecar whose pod says nothing.
func defaultOptions(given []string) (inject.Options, error) {
	annotations := map[string]string{}
	for _, one := range given {
		name, value, ok := strings.Cut(one, "=")
		if !ok {
			return inject.Options{}, usageError{fmt.Sprintf("--default %q must be NAME=VALUE, such as sensor=ebpf", one)}
		}
		annotations[inject.Prefix+name] = value
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		switch key {
		case inject.Label, inject.StatusAnnotation, inject.RefusedAnnotation:
			return inject.Options{}, usageError{fmt.Sprintf("--default %s is no option of sidecars", strings.TrimPrefix(key, inject.Prefix))}
		}
	}
	o, err := inject.FromAnnotations(inject.Defaults(), annotations)
	if err != nil {
		return inject.Options{}, usageError{"--default: " + strings.TrimPrefix(err.Error(), "the annotation "+inject.Prefix)}
	}
	return o, nil
}

// serveWebhook serves until a signal ends it; a second one ends it at once.
func serveWebhook(c *cli.Context, w *webhook.Webhook, log *slog.Logger) error {
	limitMemory(cgroupLimit)
	collectOften()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	defer signal.Stop(signals)

	reviews, err := listen(c.String("listen"), "--listen")
	if err != nil {
		return err
	}
	status, err := listen(c.String("metrics"), "--metrics")
	if err != nil {
		_ = reviews.Close()
		return err
	}
	ctx, stop := context.WithCancel(c.Context)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx, reviews, status) }()
	log.Info("webhook serves", "listen", reviews.Addr().String(), "metrics", status.Addr().String(), "version", buildInfo().Version)
	for range 2 {
		select {
		case err := <-ended:
			return err
		case sig := <-signals:
			log.Info("signal received", "signal", sig.String())
			stop()
		}
	}
	return errors.New("a second signal came: stopped at once, without waiting for API servers to hear of it")
}
