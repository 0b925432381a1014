package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/urfave/cli/v2"

	"github.com/countersign-dev/countersign/deploy/inject"
	"github.com/countersign-dev/countersign/deploy/inject/manifest"
)

// maxManifest is the length of what inject and its audit read of one file, 256 MiB.
const maxManifest = 256 << 20

func injectCommand() *cli.Command {
	return &cli.Command{
		Name: "inject",
		Usage: "add the sidecar to Kubernetes manifests, from standard input or files to standard output; what has no pods passes unchanged; " +
			"exit 0 done, 1 it cannot be done, or with --strict something was refused, 2 usage",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "file", Aliases: []string{"f"}, EnvVars: []string{"COUNTERSIGN_INJECT_FILE"}, Usage: "`FILE` with YAML or JSON, - for standard input, which it is without; may be given again"},
			&cli.StringFlag{Name: "image", EnvVars: []string{"COUNTERSIGN_INJECT_IMAGE"}, Usage: "the sidecar's `IMAGE`, short for --default image=IMAGE"},
			&cli.StringSliceFlag{Name: "default", EnvVars: []string{"COUNTERSIGN_INJECT_DEFAULT"}, Usage: "`NAME=VALUE` of an option of sidecars whose pods say nothing of it, by the name of its annotation without countersign.dev/; may be given again"},
			&cli.StringFlag{Name: "dry-run", EnvVars: []string{"COUNTERSIGN_INJECT_DRY_RUN"}, Usage: "diff prints what would change in place of the manifests"},
			&cli.BoolFlag{Name: "strict", EnvVars: []string{"COUNTERSIGN_INJECT_STRICT"}, Usage: "exit 1, and print no manifests, when an object with pods cannot have the sidecar"},
			&cli.BoolFlag{Name: "quiet", EnvVars: []string{"COUNTERSIGN_INJECT_QUIET"}, Usage: "say nothing on standard error of what was injected, only warnings and refusals"},
		},
		Subcommands: []*cli.Command{injectAuditCommand()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if how := c.String("dry-run"); how != "" && how != "diff" {
				return usageError{fmt.Sprintf("--dry-run %q must be diff", how)}
			}
			return injectManifests(c)
		},
	}
}

func injectManifests(c *cli.Context) error {
	var given []string
	if image := c.String("image"); image != "" {
		given = append(given, "image="+image)
	}
	given = append(given, c.StringSlice("default")...) // the later goes, as --image may be a variable
	options, err := defaultOptions(given)
	if err != nil {
		return err
	}
	options.Version = buildInfo().Version
	before, err := readManifests(c)
	if err != nil {
		return err
	}
	after, notices, err := manifest.Inject(before, options)
	if err != nil {
		return err
	}
	refused := tellNotices(c, notices)
	if refused > 0 && c.Bool("strict") {
		return fmt.Errorf("%d of %d objects cannot have the sidecar", refused, len(notices))
	}
	if c.String("dry-run") == "diff" {
		after = diff.Diff("as it is", before, "with the sidecar", after)
	}
	_, err = c.App.Writer.Write(after)
	return err
}

// readManifests reads the files one after the other, as documents of one stream.
func readManifests(c *cli.Context) ([]byte, error) {
	files := c.StringSlice("file")
	if len(files) == 0 {
		files = []string{"-"}
	}
	var all bytes.Buffer
	for _, name := range files {
		text, err := readManifest(name)
		if err != nil {
			return nil, err
		}
		if all.Len() > 0 {
			if !bytes.HasSuffix(all.Bytes(), []byte("\n")) {
				all.WriteByte('\n')
			}
			if !bytes.HasPrefix(text, []byte("---")) {
				all.WriteString("---\n")
			}
		}
		all.Write(text)
	}
	return all.Bytes(), nil
}

// readManifest reads a file, or standard input for "-".
func readManifest(name string) ([]byte, error) {
	if name != "-" {
		return readUpTo(name, maxManifest)
	}
	text, err := io.ReadAll(io.LimitReader(os.Stdin, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read standard input: %w", err)
	}
	if len(text) > maxManifest {
		return nil, errors.New("standard input has more than 256 MiB, far too many")
	}
	return text, nil
}

// tellNotices says on standard error what became of each object, and returns how many
// were refused.
func tellNotices(c *cli.Context, notices []manifest.Notice) (refused int) {
	say := func(word, object, text string) {
		_, _ = fmt.Fprintln(c.App.ErrWriter, printable(oneLine(strings.TrimSuffix(word+" "+object+": "+text, ": "))))
	}
	for _, n := range notices {
		if n.Outcome == manifest.Refused {
			refused++
		}
		if n.Outcome == manifest.Refused || !c.Bool("quiet") {
			say(string(n.Outcome), n.Object, n.Text())
		}
		for _, text := range n.Warnings {
			say("warning", n.Object, text)
		}
	}
	return refused
}

func injectAuditCommand() *cli.Command {
	return &cli.Command{
		Name: "audit",
		Usage: "list pods that should carry the sidecar and do not, of what kubectl get namespaces,pods -A -o json writes, from a FILE or standard input, or of the cluster itself; " +
			"exit 0 there are none, 1 there are, 2 usage, 3 it cannot be said",
		ArgsUsage: "[FILE]",
		Flags: append(kubeFlags(), jsonFlag(),
			&cli.BoolFlag{Name: "cluster", EnvVars: []string{"COUNTERSIGN_AUDIT_CLUSTER"}, Usage: "ask the API server"}),
		Action: func(c *cli.Context) error {
			file, err := atMostOne(c, "FILE")
			if err != nil {
				return err
			}
			return auditInjection(c, file)
		},
	}
}

// exitUnsaid tells an audit that could not be made from one that has found something.
const exitUnsaid = 3

func auditInjection(c *cli.Context, file string) error {
	report, err := auditOf(c, file)
	if _, misused := errors.AsType[usageError](err); err != nil && !misused {
		return exitError{exitUnsaid, err}
	} else if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := printJSON(c, report); err != nil {
			return err
		}
	} else {
		for _, m := range report.Missing {
			_, _ = fmt.Fprintln(c.App.Writer, printable(oneLine(fmt.Sprintf("%s/%s of %s: %s", m.Namespace, m.Pod, m.Owner, m.Reason))))
		}
		_, _ = fmt.Fprintf(c.App.Writer, "%d of %d pods are without the sidecar, in namespaces that ask for it: %d\n", len(report.Missing), report.Pods, report.Namespaces)
	}
	if len(report.Missing) > 0 {
		return errReported
	}
	return nil
}

func auditOf(c *cli.Context, file string) (inject.Report, error) {
	var a inject.Audit
	if err := readAudit(c, file, &a); err != nil {
		return inject.Report{}, err
	}
	return a.Report()
}

// readAudit has the audit take in a file, standard input, or the cluster.
func readAudit(c *cli.Context, file string, a *inject.Audit) error {
	if c.Bool("cluster") {
		if file != "" {
			return usageError{"--cluster asks the API server: leave out " + file}
		}
		return readCluster(c, a)
	}
	if file == "" {
		file = "-"
	}
	text, err := readManifest(file)
	if err != nil {
		return err
	}
	return a.Read(bytes.NewReader(text))
}
