//go:build slow

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nginx is Debian's nginx, serving a directory of its own.
type nginx struct {
	*process
	dir     string // holds www, what it serves, and put, what it stores
	address string
	url     string
	path    string // of the program
}

const nginxConf = `
daemon off;
pid DIR/nginx.pid;
error_log stderr warn;
worker_processes 1;
user root;
events { worker_connections 4096; }
http {
	access_log off;
	client_body_temp_path DIR/tmp-body;
	proxy_temp_path DIR/tmp-proxy;
	fastcgi_temp_path DIR/tmp-fastcgi;
	uwsgi_temp_path DIR/tmp-uwsgi;
	scgi_temp_path DIR/tmp-scgi;
	types { text/plain txt; text/html html; application/octet-stream bin; }
	client_max_body_size 0;
	gzip on;
	gzip_types text/plain;
	gzip_min_length 1;
	gzip_proxied any; # by default nginx does not compress what a proxy asks for
	absolute_redirect off;
	server {
		listen LISTEN;
		root DIR/www;
		SERVER
		location /put/ { alias DIR/put/; dav_methods PUT DELETE; create_full_put_path on; }
		location = /500 { return 500 "broken\n"; }
		location = /204 { return 204; }
		location = /302 { return 302 /elsewhere; }
		location = /twice { add_header X-Twice one always; add_header X-Twice two always; return 200 "twice\n"; }
	}
}
`

// startNginx serves on a free port. listen are further words of the listen
// directive and server further directives of the server.
func startNginx(t *testing.T, listen, server string) *nginx {
	t.Helper()
	n := &nginx{dir: t.TempDir(), path: tool(t, "nginx", "nginx-light"), address: freeAddress(t)}
	n.url = "http://" + n.address
	for _, d := range []string{"www", "put"} {
		if err := os.Mkdir(filepath.Join(n.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	conf := strings.NewReplacer("DIR", n.dir, "LISTEN", n.address+" "+listen, "SERVER", server).Replace(nginxConf)
	n.write(t, "nginx.conf", []byte(conf))
	n.run(t)
	return n
}

// run starts the program, also after it has been stopped.
func (n *nginx) run(t *testing.T) {
	t.Helper()
	n.process = start(t, syscall.SIGTERM, n.path, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"))
	eventually(t, "nginx should accept connections", func() bool { return accepts("tcp", n.address) })
}

// write puts a file below the server's directory.
func (n *nginx) write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(n.dir, name), content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// fill makes the files that the tests ask for.
func (n *nginx) fill(t *testing.T) {
	t.Helper()
	n.write(t, "www/index.html", []byte("<!doctype html><title>hello</title>\n"))
	n.write(t, "www/empty.bin", nil)
	n.write(t, "www/name with space.txt", []byte("spaced\n"))
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, "line %d of a text that compresses\n", i)
	}
	n.write(t, "www/text.txt", []byte(text.String()))
	n.write(t, "www/data.bin", noise(3<<20+17))
}
