package peer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	for _, c := range []struct {
		template, logged, unlogged string
	}{
		{"nginx.conf.tmpl", "access_log /tmp/requests.log timed;", "access_log off;"},
		{"haproxy.cfg.tmpl", "option httplog", ""},
		{"Caddyfile.tmpl", "output file /tmp/requests.log", ""},
	} {
		written := map[bool]string{}
		for _, log := range []bool{true, false} {
			file, path := filepath.Join(t.TempDir(), "file"), ""
			if log {
				path = "/tmp/requests.log"
			}
			if err := writeTemplate(c.template, file, "/tmp", "127.0.0.1:1", "127.0.0.1:2", path); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			written[log] = string(text)
			if !strings.Contains(written[log], "127.0.0.1:1") {
				t.Errorf("%s does not name the upstream:\n%s", c.template, text)
			}
		}
		if !strings.Contains(written[true], c.logged) || strings.Contains(written[false], c.logged) || !strings.Contains(written[false], c.unlogged) {
			t.Errorf("%s with a log:\n%s\nwithout:\n%s", c.template, written[true], written[false])
		}
	}
}

func TestMissing(t *testing.T) {
	b := &Bench{Dir: t.TempDir()} // nothing is installed
	for _, name := range []string{Nginx, NginxLog, HAProxy, HAProxyLog, CaddyLog} {
		var missing *Missing
		if _, err := b.Start(context.Background(), name, "127.0.0.1:1"); !errors.As(err, &missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.Start(context.Background(), "apache", "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "apache") {
		t.Errorf("a peer that there is not: %v", err)
	}
}

// TestEnded says what a peer printed that ends at once.
func TestEnded(t *testing.T) {
	b := &Bench{Dir: t.TempDir(), Programs: Programs{Fasthttp: "/bin/sh"}} // which knows no -listen
	_, err := b.Start(context.Background(), Fasthttp, "127.0.0.1:1")
	if err == nil || !strings.Contains(err.Error(), "ended") || !strings.Contains(err.Error(), "printed:\n/bin/sh") {
		t.Errorf("the error is %v", err)
	}
}
