//go:build slow

package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// parityCase is a curl command whose outcome must not depend on the sidecar.
type parityCase struct {
	name string
	args []string // URL stands for the server's URL
	// outcome is what the sidecar must count it as.
	outcome string
}

// TestParityNginx gives curl the same command directly and through the
// sidecar: status, fields in their order, and body must be the same.
func TestParityNginx(t *testing.T) {
	t.Parallel()
	n := startNginx(t, "", "")
	n.fill(t)
	for _, name := range []string{"sized", "chunked", "expected"} {
		n.write(t, "put/"+name, nil) // storing always replaces, so the status is always the same
	}
	upload := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(upload, noise(2<<20+3), 0o644); err != nil {
		t.Fatal(err)
	}
	first := curl(t, n.url+"/data.bin")
	etag, modified := first.header("ETag"), first.header("Last-Modified")
	if etag == "" || modified == "" {
		t.Fatalf("nginx sent no validators: %v", &first)
	}
	expectParity(t, n.url, []parityCase{
		{"index", []string{"URL/"}, "success"},
		{"binary", []string{"URL/data.bin"}, "success"},
		{"empty file", []string{"URL/empty.bin"}, "success"},
		{"escaped path", []string{"URL/name%20with%20space.txt"}, "success"},
		{"dot segments and query", []string{"--path-as-is", "URL/a/..//./index.html?q=%2F&&=x"}, "success"},
		{"head", []string{"--head", "URL/data.bin"}, "success"},
		{"head of a missing file", []string{"--head", "URL/missing"}, "client_error"},
		{"missing", []string{"URL/missing"}, "client_error"},
		{"server error", []string{"URL/500"}, "server_error"},
		{"no content", []string{"URL/204"}, "success"},
		{"redirect", []string{"URL/302"}, "success"},
		{"repeated field", []string{"URL/twice"}, "success"},
		{"range", []string{"--range", "1000-1999999", "URL/data.bin"}, "success"},
		{"suffix range", []string{"--range", "-10", "URL/data.bin"}, "success"},
		{"impossible range", []string{"--range", "99999999-", "URL/data.bin"}, "client_error"},
		{"matching etag", []string{"--header", "If-None-Match: " + etag, "URL/data.bin"}, "success"},
		{"other etag", []string{"--header", `If-None-Match: "other"`, "URL/data.bin"}, "success"},
		{"not modified since", []string{"--header", "If-Modified-Since: " + modified, "URL/data.bin"}, "success"},
		{"gzip as sent", []string{"--header", "Accept-Encoding: gzip", "URL/text.txt"}, "success"},
		{"gzip decoded", []string{"--compressed", "URL/text.txt"}, "success"},
		{"raw chunks decoded by curl only", []string{"--compressed", "--header", "TE: trailers", "URL/text.txt"}, "success"},
		{"http/1.0", []string{"--http1.0", "URL/data.bin"}, "success"},
		{"http/1.0 keep-alive", []string{"--http1.0", "--header", "Connection: keep-alive", "URL/data.bin"}, "success"},
		{"upgrade to h2c ignored", []string{"--http2", "URL/"}, "success"},
		{"put", []string{"--upload-file", upload, "URL/put/sized"}, "success"},
		{"put in chunks", []string{"--upload-file", upload, "--header", "Transfer-Encoding: chunked", "URL/put/chunked"}, "success"},
		{"put with an expectation", []string{"--upload-file", upload, "--header", "Expect: 100-continue", "URL/put/expected"}, "success"},
		{"put refused before the body", []string{"--upload-file", upload, "URL/text.txt"}, "early_response"},
		{"delete missing", []string{"--request", "DELETE", "URL/put/missing"}, "client_error"},
		{"post not allowed", []string{"--data", "a=b", "URL/index.html"}, "client_error"},
		{"options", []string{"--request", "OPTIONS", "URL/"}, "client_error"},
		{"unknown method", []string{"--request", "BREW", "URL/"}, "client_error"},
		{"asterisk", []string{"--request", "OPTIONS", "--request-target", "*", "URL/"}, "client_error"},
		{"long field", []string{"--header", "X-Long: " + strings.Repeat("v", 4000), "URL/"}, "success"},
	})
	for _, name := range []string{"sized", "chunked", "expected"} {
		if got, err := os.ReadFile(filepath.Join(n.dir, "put", name)); err != nil || !bytes.Equal(got, noise(2<<20+3)) {
			t.Errorf("the stored file %s differs from what was sent (%d bytes, %v)", name, len(got), err)
		}
	}
}

// TestParityPython does the same with Python's http.server in both of its
// protocol versions, stock and with testdata/upstream.py's answers.
func TestParityPython(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.0", "HTTP/1.1"} {
		t.Run(strings.ReplaceAll(protocol, "/", ""), func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "data.bin"), noise(1<<20+1), 0o644); err != nil {
				t.Fatal(err)
			}
			expectParity(t, startStockPython(t, protocol, dir), []parityCase{
				{"listing", []string{"URL/"}, "success"},
				{"file", []string{"URL/data.bin"}, "success"},
				{"head", []string{"--head", "URL/data.bin"}, "success"},
				{"http/1.0", []string{"--http1.0", "URL/data.bin"}, "success"},
				{"missing", []string{"URL/missing"}, "client_error"},
				{"unsupported post", []string{"--data", "x=y", "URL/"}, "server_error"},
			})
			cases := []parityCase{
				{"until close", []string{"URL/close"}, "success"},
				{"error page", []string{"URL/teapot"}, "client_error"},
				{"server error", []string{"URL/broken"}, "server_error"},
			}
			if protocol == "HTTP/1.1" {
				cases = append(cases,
					parityCase{"chunks", []string{"URL/chunks"}, "success"},
					parityCase{"trailers", []string{"--header", "TE: trailers", "URL/trailers"}, "success"},
				)
			}
			expectParity(t, startPython(t, protocol), cases)
		})
	}
}

func expectParity(t *testing.T, upstream string, cases []parityCase) {
	t.Helper()
	s := startSidecar(t, upstream)
	want := counts{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			direct := curl(t, withURL(c.args, upstream)...)
			proxied := curl(t, withURL(c.args, s.url)...)
			if proxied.exit != direct.exit || proxied.status != direct.status {
				t.Fatalf("direct:  %v\nproxied: %v", &direct, &proxied)
			}
			if d, p := endToEnd(direct.headers, upstream), endToEnd(proxied.headers, s.url); !slices.Equal(d, p) {
				t.Errorf("fields differ\ndirect:  %q\nproxied: %q", d, p)
			}
			if !bytes.Equal(direct.body, proxied.body) {
				t.Errorf("bodies differ: %d bytes direct, %d proxied", len(direct.body), len(proxied.body))
			}
		})
		want[c.outcome]++
	}
	s.expectCounts(t, want)
}

func withURL(args []string, url string) []string {
	args = slices.Clone(args)
	for i := range args {
		if rest, ok := strings.CutPrefix(args[i], "URL"); ok {
			args[i] = url + rest
		}
	}
	return args
}

// endToEnd leaves out the fields of one hop and the clock, which may have
// moved on, and writes URL for the address that was asked.
func endToEnd(fields []string, url string) []string {
	var kept []string
	for _, f := range fields {
		name, _, _ := strings.Cut(strings.ToLower(f), ":")
		switch name {
		case "connection", "keep-alive", "transfer-encoding", "date":
		default:
			kept = append(kept, strings.ReplaceAll(f, url, "URL"))
		}
	}
	return kept
}

// seen is testdata/upstream.py's report of a request.
type seen struct {
	Line     string
	Headers  [][2]string
	Length   int64
	SHA256   string
	Trailers []string
}

// TestUpstreamSeesTheSameRequest compares what the upstream was sent.
func TestUpstreamSeesTheSameRequest(t *testing.T) {
	t.Parallel()
	upstream := startPython(t, "HTTP/1.1")
	s := startSidecar(t, upstream)
	file := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(file, noise(300_000), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"get", []string{"URL/a%2Fb;c?d=e&f=%20"}},
		{"order, case and repetition", []string{"-H", "X-B: 1", "-H", "x-a: 2", "-H", "X-B: 3", "-H", "X-eMPTY;", "-H", "Cookie: a=b; c=d", "URL/"}},
		{"form", []string{"--data", "a=b&c=d", "URL/form"}},
		{"upload of a file as a form would", []string{"--data-binary", "@" + file, "-H", "Content-Type: multipart/form-data; boundary=b", "URL/"}},
		{"post without content type", []string{"--data-binary", "raw", "-H", "Content-Type:", "-H", "User-Agent:", "URL/"}},
		{"empty post", []string{"--request", "POST", "--data", "", "URL/"}},
		{"put", []string{"--upload-file", file, "URL/put"}},
		{"put in chunks", []string{"--upload-file", file, "-H", "Transfer-Encoding: chunked", "URL/put"}},
		{"expectation", []string{"--upload-file", file, "-H", "Expect: 100-continue", "URL/put"}},
		{"no expectation", []string{"--upload-file", file, "-H", "Expect:", "URL/put"}},
		{"patch, delete and own methods", []string{"--request", "PURGE", "URL/cache"}},
		{"body on delete", []string{"--request", "DELETE", "--data", "why", "URL/thing"}},
		{"no accept", []string{"-H", "Accept:", "URL/"}},
		{"authorization", []string{"--user", "me:secret", "URL/"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := "Host: api.example:81"
			direct := report(t, append(withURL(c.args, upstream), "-H", host))
			proxied := report(t, append(withURL(c.args, s.url), "-H", host))
			if direct.Line != proxied.Line || direct.Length != proxied.Length || direct.SHA256 != proxied.SHA256 {
				t.Errorf("requests differ\ndirect:  %+v\nproxied: %+v", direct, proxied)
			}
			if d, p := unframed(direct.Headers), unframed(proxied.Headers); !slices.Equal(d, p) {
				t.Errorf("fields differ\ndirect:  %q\nproxied: %q", d, p)
			}
		})
	}
}

// report runs curl and returns what the upstream says it was sent.
func report(t *testing.T, args []string) seen {
	t.Helper()
	a := curl(t, args...)
	var r seen
	if err := json.Unmarshal(a.body, &r); err != nil {
		t.Fatalf("no report from the upstream: %v\n%v", &a, err)
	}
	return r
}

// unframed leaves out the fields the sidecar writes itself: those of the hop,
// and those that tell of it.
func unframed(fields [][2]string) []string {
	var kept []string
	for _, f := range fields {
		switch strings.ToLower(f[0]) {
		case "transfer-encoding", "connection", "via", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto":
		default:
			kept = append(kept, f[0]+": "+f[1])
		}
	}
	return kept
}
