//go:build slow

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sendThenRead is a client that sends its whole body before it reads, as
// Python's http.client and what is built on it do.
const sendThenRead = `
import http.client, sys
connection = http.client.HTTPConnection(sys.argv[1])
connection.request("PUT", sys.argv[2], body=open(sys.argv[3], "rb"), headers={"Content-Length": sys.argv[4]})
response = connection.getresponse()
print(response.status, len(response.read()))
`

// TestEarlyResponseToAClientThatOnlySends: nginx refuses an upload at its
// head. The client must get to read that, and not a broken pipe, although it
// is long since not listened to.
func TestEarlyResponseToAClientThatOnlySends(t *testing.T) {
	t.Parallel()
	n := startNginx(t, "", `location = /401 { return 401 "who?\n"; } location = /413 { client_max_body_size 1m; dav_methods PUT; }`)
	n.fill(t)
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, noise(20_000_000), 0o644); err != nil {
		t.Fatal(err)
	}
	put := func(address, path string) string {
		cmd := exec.Command(tool(t, "python3", "python3"), "-c", sendThenRead, address, path, file, "20000000")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("PUT http://%s%s: %v\n%s", address, path, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	s := startSidecar(t, n.url)
	for _, path := range []string{"/401", "/413", "/index.html"} {
		if direct, proxied := put(n.address, path), put(s.address, path); direct != proxied {
			t.Errorf("%s: %q direct, %q through the sidecar", path, direct, proxied)
		}
	}
	s.expectCounts(t, counts{"early_response": 3})
	limited := startSidecar(t, n.url, "--max-body", "1MB")
	if got := put(limited.address, "/index.html"); !strings.HasPrefix(got, "413 ") {
		t.Errorf("a body above the sidecar's own limit: %q", got)
	}
	limited.expectCounts(t, counts{"malformed": 1})
}
