// Package peer starts and stops what the benchmark compares: nginx, HAProxy,
// Caddy, two proxies in Go, and the sidecar, each in front of the same upstream
// with connections kept on both sides. The configurations stand beside it
// (*.tmpl) and are the whole of what a peer is told.
package peer

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"text/template"
)

// Names of the peers. A name with "+log" writes a line for each request.
const (
	Direct         = "direct"
	Probe          = "direct+probe" // the upstream with the eBPF probe beside it, in a namespace of their own
	Countersign    = "countersign"
	CountersignTwo = "countersign-2" // the same once more: what differs between the two is noise
	CountersignOff = "countersign-off"
	Nginx          = "nginx"
	NginxLog       = "nginx+log"
	HAProxy        = "haproxy"
	HAProxyLog     = "haproxy+log"
	Fasthttp       = "fasthttp"
	HTTPUtil       = "httputil"
	CaddyLog       = "caddy+log"
)

// About says of each peer what it is.
var About = map[string]string{
	Direct:         "the upstream itself",
	Probe:          "the upstream itself, with the sidecar's eBPF probe beside it",
	Countersign:    "the sidecar as proxy; it measures, and keeps its ledger",
	CountersignTwo: "the same, started once more",
	CountersignOff: "the sidecar as proxy, --measure=false",
	Nginx:          "nginx, access log off",
	NginxLog:       "nginx, access log with times to a file",
	HAProxy:        "HAProxy, no log",
	HAProxyLog:     "HAProxy, httplog to a file",
	Fasthttp:       "twenty lines with fasthttp; no log, nothing is measured",
	HTTPUtil:       "httputil.ReverseProxy; no log, nothing is measured",
	CaddyLog:       "Caddy, access log to a file",
}

// Programs are the files of what is started.
type Programs struct {
	Countersign, Upstream, Fasthttp, HTTPUtil string
	CountersignTwo                            string // another build; empty: the same
	Caddy                                     string // empty: it was not built
	Nginx, HAProxy                            string // empty: not installed
}

// Bench is where peers are run: their files are in Dir, they listen on loopback
// in Inside. It is safe for concurrent use.
type Bench struct {
	Dir      string
	Inside   *Namespace
	Programs Programs
}

// Missing is why a peer cannot be had on this machine.
type Missing struct{ Why string }

func (m *Missing) Error() string { return m.Why }

// Start starts a peer in front of the upstream, and returns when it has answered. The error is a [Missing] when the
// program is not there.
func (b *Bench) Start(ctx context.Context, name, upstream string) (*Server, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	line, err := b.line(name, upstream, listen)
	if err != nil {
		return nil, err
	}
	s, err := b.launch(ctx, name, listen, line)
	if err != nil {
		return nil, err
	}
	err = s.awaitAnswer(ctx)
	if err == nil {
		err = s.awaitLog(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartUpstream starts the API that the peers stand in front of.
func (b *Bench) StartUpstream(ctx context.Context) (*Server, error) {
	s, err := b.launch(ctx, "upstream", "", commandLine{words: []string{b.Programs.Upstream}})
	if err != nil {
		return nil, err
	}
	if s.Addr, err = s.printedAddress(ctx); err == nil {
		err = s.awaitAnswer(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// StartProbe starts a sidecar that watches the upstream by eBPF. It has no address; its log says that it serves.
func (b *Bench) StartProbe(ctx context.Context, upstream string) (*Server, error) {
	_, port, err := net.SplitHostPort(upstream)
	if err != nil {
		return nil, err
	}
	dir, err := b.dir(Probe)
	if err != nil {
		return nil, err
	}
	s, err := b.launch(ctx, Probe, "", commandLine{words: []string{
		b.Programs.Countersign, "run", "--sensor", "ebpf", "--port", port, "--admin", "127.0.0.1:0", "--data", filepath.Join(dir, "data")}})
	if err != nil {
		return nil, err
	}
	if err := s.awaitPrinted(ctx, "msg=serving"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// commandLine is what starts a peer, and the file that it logs requests to.
type commandLine struct {
	words []string
	log   string
	env   []string
}

// line makes the command line of a peer, and its configuration.
func (b *Bench) line(name, upstream, listen string) (line commandLine, err error) {
	dir, err := b.dir(name)
	if err != nil {
		return line, err
	}
	kind, _, log := strings.Cut(name, "+")
	if log {
		line.log = filepath.Join(dir, "requests.log")
	}
	configure := func(template, file string) (path string, err error) {
		path = filepath.Join(dir, file)
		return path, writeTemplate(template, path, dir, upstream, listen, line.log)
	}
	var file string
	switch kind {
	case Countersign, CountersignTwo, CountersignOff:
		program := b.Programs.Countersign
		if kind == CountersignTwo {
			program = cmp.Or(b.Programs.CountersignTwo, program)
		}
		line.words = []string{program, "run", "--upstream", "http://" + upstream, "--listen", listen,
			"--admin", "127.0.0.1:0", "--data", filepath.Join(dir, "data")}
		if kind == CountersignOff {
			line.words = append(line.words, "--measure=false")
		}
	case Fasthttp, HTTPUtil:
		program := map[string]string{Fasthttp: b.Programs.Fasthttp, HTTPUtil: b.Programs.HTTPUtil}[kind]
		line.words = []string{program, "-listen", listen, "-upstream", upstream}
	case Nginx:
		if b.Programs.Nginx == "" {
			return line, &Missing{"nginx is not installed (apt-get install nginx-light)"}
		}
		file, err = configure("nginx.conf.tmpl", "nginx.conf")
		line.words = []string{b.Programs.Nginx, "-p", dir, "-c", file}
	case HAProxy:
		if b.Programs.HAProxy == "" {
			return line, &Missing{"HAProxy is not installed (apt-get install haproxy)"}
		}
		file, err = configure("haproxy.cfg.tmpl", "haproxy.cfg")
		line.words = []string{b.Programs.HAProxy, "-db", "-f", file}
	case "caddy":
		if b.Programs.Caddy == "" {
			return line, &Missing{"Caddy was not built (it is by a run without -short, once, in minutes)"}
		}
		file, err = configure("Caddyfile.tmpl", "Caddyfile")
		line.words = []string{b.Programs.Caddy, "run", "--adapter", "caddyfile", "--config", file}
		line.env = []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
	default:
		return line, fmt.Errorf("there is no peer %q", name)
	}
	return line, err
}

// dir makes a directory for one start of a peer.
func (b *Bench) dir(name string) (string, error) {
	return os.MkdirTemp(b.Dir, name+"-")
}

//go:embed *.tmpl
var templates embed.FS

// kept is how many idle connections to the upstream each peer may keep: as many as there are clients at most, twice.
const kept = 1024

func writeTemplate(name, file, dir, upstream, listen, log string) error {
	t, err := template.New(name).Option("missingkey=error").ParseFS(templates, name)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, map[string]any{
		"Dir": dir, "Upstream": upstream, "Listen": listen, "Port": port, "Cores": runtime.NumCPU(), "Kept": kept,
		"Log": log != "", "LogFile": log, "Root": os.Geteuid() == 0,
	}); err != nil {
		return err
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}

// installed finds a program of Debian's; empty if it is not there.
func installed(name string) string {
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	return ""
}
