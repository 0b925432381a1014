package change

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDocumentedCommands runs the commands in docs/CHANGES.md as they stand there.
func TestDocumentedCommands(t *testing.T) {
	for _, tool := range []string{"sh", "curl", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s here", tool)
		}
	}
	text, err := os.ReadFile("../../docs/CHANGES.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 4 {
		t.Fatalf("%d commands, not 4", len(blocks))
	}

	in := newInbox(Open("", time.Now, quiet()))
	in.Now = time.Now
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Tenant-Secret") != "s3cret" {
			http.Error(w, `{"error":"no secret"}`, http.StatusUnauthorized)
			return
		}
		switch r.URL.Path {
		case "/commits/local":
			in.Commit(w, r, "local")
		case "/changes":
			in.Event(w, r, r.URL.Query().Get("tenant"))
		}
	}))
	defer server.Close()

	dir := t.TempDir()
	run := func(script string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "COUNTERSIGN="+server.URL, "COUNTERSIGN_SECRET=s3cret", "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
			"HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", script, err, out)
		}
		return string(out)
	}
	run(`git init -q . && git commit -q --allow-empty -m first && mkdir db && echo 'x' > db/orders.sql && echo y > main.go && git add . && git commit -q -m "Fix 100% of \"checkout\" & more

why"`)
	for _, b := range blocks {
		if out := run(b[1]); !strings.Contains(out, `"added":1`) {
			t.Errorf("%s\n%s", b[1], out)
		}
	}
	head := strings.TrimSpace(run("git rev-parse HEAD"))
	found := make(map[string]bool)
	for _, c := range in.Store.Recent("local", 9) {
		found[strings.SplitN(c.Line(c.At), " — ", 2)[1]] = true
	}
	for _, want := range []string{
		short(head) + ` "Fix 100% of 'checkout' & more" (Ana) · touches database files`,
		`flag new-checkout "new-checkout on for 50 %" (ana)`,
		`flag "new-checkout on for 50 %" (ana)`,
		`deployment v42 "payments v42"`,
	} {
		if !found[want] {
			t.Errorf("%s is not among %v", want, found)
		}
	}
}
