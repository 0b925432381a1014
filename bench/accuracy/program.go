package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// program is a real one in front of the server.
type program interface {
	name() string
	// start runs it before an upstream, a host and a port, and returns its own URL.
	start(ctx context.Context, upstream string) (url string, err error)
	// p95 is what it reports of the requests, all of which have been answered.
	p95(ctx context.Context, requests int) (estimate, error)
	stop()
}

func programs(binary string) []program {
	return []program{&nginx{}, &haproxy{}, &sidecar{binary: binary}}
}

// logged is P95 by the lines of a log, of each of which millis finds the time in
// milliseconds. There must be as many as requests.
func (p *process) logged(ctx context.Context, file string, requests int, millis func(line string) (float64, bool)) (estimate, error) {
	var times []int64
	err := p.until(ctx, func() error {
		times = times[:0]
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(data)) {
			if v, ok := millis(strings.TrimSpace(line)); ok {
				times = append(times, int64(v*1e6))
			}
		}
		if len(times) != requests {
			return fmt.Errorf("its log has %d requests of %d", len(times), requests)
		}
		return nil
	})
	if err != nil {
		return estimate{}, err
	}
	return estimate{Value: float64(exact(times))}, nil
}

const nginxConf = `
daemon off;
pid DIR/nginx.pid;
error_log stderr warn;
worker_processes 2;
USER
events { worker_connections 1024; }
http {
	log_format times 'measured $request_time';
	access_log DIR/access.log times;
	client_body_temp_path DIR/body;
	proxy_temp_path DIR/proxy;
	fastcgi_temp_path DIR/fastcgi;
	uwsgi_temp_path DIR/uwsgi;
	scgi_temp_path DIR/scgi;
	upstream api { server UPSTREAM; keepalive 16; }
	server {
		listen ADDRESS;
		location / { proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection ""; }
	}
}
`

// nginx writes $request_time into its access log: seconds with three decimals.
type nginx struct{ process }

func (n *nginx) name() string { return "nginx" }

func (n *nginx) start(ctx context.Context, upstream string) (string, error) {
	address, err := freeAddress()
	if err == nil {
		err = n.prepare()
	}
	if err != nil {
		return "", err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // the directory is ours alone
	}
	conf := filepath.Join(n.dir, "nginx.conf")
	text := strings.NewReplacer("DIR", n.dir, "USER", user, "UPSTREAM", upstream, "ADDRESS", address).Replace(nginxConf)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", err
	}
	return n.proxying(ctx, address, "nginx", "-p", n.dir, "-c", conf)
}

func (n *nginx) p95(ctx context.Context, requests int) (estimate, error) {
	return n.logged(ctx, filepath.Join(n.dir, "access.log"), requests, func(line string) (float64, bool) {
		text, ok := strings.CutPrefix(line, "measured ")
		seconds, err := strconv.ParseFloat(text, 64)
		return seconds * 1e3, ok && err == nil
	})
}

const haproxyConf = `
global
	nbthread 1
	log stdout format raw local0
defaults
	mode http
	log global
	option httplog
	timeout connect 10s
	timeout client 1m
	timeout server 2m
	http-reuse always
listen api
	bind ADDRESS
	server api UPSTREAM
`

// haproxy writes a line of its httplog format to stdout, with its times in
// milliseconds. It has one thread: a line for which another one is writing for too
// long it leaves out.
type haproxy struct{ process }

func (h *haproxy) name() string { return "HAProxy" }

func (h *haproxy) start(ctx context.Context, upstream string) (string, error) {
	address, err := freeAddress()
	if err == nil {
		err = h.prepare()
	}
	if err != nil {
		return "", err
	}
	conf := filepath.Join(h.dir, "haproxy.cfg")
	text := strings.NewReplacer("UPSTREAM", upstream, "ADDRESS", address).Replace(haproxyConf)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return "", err
	}
	return h.proxying(ctx, address, "haproxy", "-db", "-f", conf)
}

func (h *haproxy) p95(ctx context.Context, requests int) (estimate, error) {
	return h.logged(ctx, h.output, requests, activeTime)
}

// activeTime is Ta of a line in the httplog format, the last of TR/Tw/Tc/Tr/Ta.
func activeTime(line string) (float64, bool) {
	fields := strings.Fields(line)
	if len(fields) < 5 || !strings.Contains(line, measuredPath) {
		return 0, false
	}
	times := strings.Split(fields[4], "/")
	if len(times) != 5 {
		return 0, false
	}
	v, err := strconv.ParseFloat(times[4], 64)
	return v, err == nil
}

// sidecar is countersign run.
type sidecar struct {
	process
	binary, admin string
}

func (s *sidecar) name() string { return ours }

func (s *sidecar) start(ctx context.Context, upstream string) (url string, err error) {
	if err := s.prepare(); err != nil {
		return "", err
	}
	err = s.run(ctx, s.binary, "run", "--upstream", "http://"+upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--data", filepath.Join(s.dir, "data"), "--log-format", "json")
	if err != nil {
		return "", err
	}
	return url, s.until(ctx, func() error {
		url, s.admin = serving(s.said())
		if url == "" {
			return errors.New("it does not say that it serves")
		}
		return nil
	})
}

// serving finds the addresses in the log line that says that it serves.
func serving(log string) (listen, admin string) {
	for lines := bufio.NewScanner(strings.NewReader(log)); lines.Scan(); {
		var line struct {
			Msg           string
			Listen, Admin json.RawMessage
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			return "http://" + address(line.Listen), "http://" + address(line.Admin)
		}
	}
	return "", ""
}

// address is one as the log has it: text, or the fields of a net.TCPAddr.
func address(raw json.RawMessage) string {
	var at net.TCPAddr
	if json.Unmarshal(raw, &at) == nil {
		return at.String()
	}
	return string(bytes.Trim(raw, `"`))
}

// admin asks the sidecar's own address.
var admin = &http.Client{Timeout: 10 * time.Second}

func (s *sidecar) p95(ctx context.Context, requests int) (estimate, error) {
	var document struct {
		Metrics struct {
			P95     *float64    `json:"overall_p95_ms"`
			Bracket *[2]float64 `json:"p95_bracket_ms"`
			Samples int         `json:"sample_size"`
		} `json:"metrics"`
	}
	err := s.until(ctx, func() error {
		res, err := admin.Get(s.admin + "/health/alerts")
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if err := json.NewDecoder(res.Body).Decode(&document); err != nil {
			return err
		}
		if m := document.Metrics; m.Samples != requests || m.P95 == nil || m.Bracket == nil {
			return fmt.Errorf("its window has %d requests of %d: they must not take longer than a minute", m.Samples, requests)
		}
		return nil
	})
	if err != nil {
		return estimate{}, err
	}
	m := document.Metrics
	return estimate{Value: *m.P95 * 1e6, Low: int64(m.Bracket[0] * 1e6), High: int64(m.Bracket[1]*1e6 + 1)}, nil
}
