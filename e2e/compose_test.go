//go:build slow

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// settled is how long containers may take to do what they do at once otherwise.
const settled = 90 * time.Second

// TestDocker makes the images as a release does, looks at what is in them, and brings up
// each Compose example in a daemon of its own.
func TestDocker(t *testing.T) {
	t.Parallel()
	d := startDocker(t)
	d.load(t, "traefik/whoami", map[string]string{"whoami": buildWithoutCgo(t, "./testdata/whoami")}, `ENTRYPOINT ["/whoami"]`)
	makeImages(t, d)
	t.Run("images", func(t *testing.T) { testImages(t, d) })
	t.Run("examples", func(t *testing.T) {
		t.Run("read-only", func(t *testing.T) { testReadOnly(t, d) })
		t.Run("documented", func(t *testing.T) { testDocumentedDocker(t, d) })
		t.Run("proxy", func(t *testing.T) { testComposeProxy(t, d) })
		t.Run("probe", func(t *testing.T) { testComposeProbe(t, d) })
		t.Run("takeover", func(t *testing.T) { testComposeTakeover(t, d) })
	})
}

func testComposeProxy(t *testing.T, d docker) {
	t.Parallel()
	p := newProject(t, d, "proxy")
	p.up(t)
	p.mustMeasureAndDecide(t, "--volumes-from", p.sidecar(t), "--", "--anchor", "/anchor")
}

// testComposeProbe needs this Docker to give a container CAP_BPF, which it does not know:
// see testdata/runtime.
func testComposeProbe(t *testing.T, d docker) {
	t.Parallel()
	needHook(t, "tcx")
	p := newProject(t, d, "probe")
	if words := "cap_add: [BPF, NET_ADMIN]"; !strings.Contains(p.text(t, "compose.yaml"), words) {
		t.Fatalf("the example does not say %q", words)
	}
	p.replace(t, "compose.yaml", "cap_add: [BPF,", "cap_add: [CHOWN,")
	p.up(t)
	if status := p.status(t); status.Sensor != "ebpf" || status.Probe.Attach != "tcx" {
		t.Errorf("the sensor is %s by %s", status.Sensor, status.Probe.Attach)
	}
	pid, err := strconv.Atoi(d.do(t, "inspect", "-f", "{{.State.Pid}}", p.sidecar(t)))
	if err != nil {
		t.Fatal(err)
	}
	expectNoCapabilities(t, pid)
	p.mustMeasureAndDecide(t, "--volumes-from", p.sidecar(t), "--user", "0:0", "--")
}

// testComposeTakeover begins with an API that runs without the sidecar, and changes one line.
func testComposeTakeover(t *testing.T, d docker) {
	t.Parallel()
	p := newProject(t, d, "takeover")
	p.files = []string{"compose.yaml"}
	p.compose(t, "up", "-d")
	p.answers(t, "/")
	before := p.text(t, "compose.yaml")
	p.replace(t, "compose.yaml", ":8000\"", ":8080\"")
	if n := changedLines(before, p.text(t, "compose.yaml")); n != 1 {
		t.Errorf("%d lines of the existing file change", n)
	}
	p.files = append(p.files, "compose.countersign.yaml")
	p.up(t)
	p.mustMeasureAndDecide(t, "--volumes-from", p.sidecar(t), "--")
	// And back: the port leads to the API again.
	p.replace(t, "compose.yaml", ":8080\"", ":8000\"")
	p.files = []string{"compose.yaml"}
	p.compose(t, "up", "-d", "--remove-orphans")
	p.answers(t, "/")
}

func changedLines(a, b string) (n int) {
	after := strings.Split(b, "\n")
	for i, line := range strings.Split(a, "\n") {
		if i >= len(after) || line != after[i] {
			n++
		}
	}
	return n
}

// project is a copy of a Compose example.
type project struct {
	docker
	program, dir, name string
	files              []string
	address            string // where the host publishes the API
}

var projects atomic.Int32

// newProject copies an example. All that is changed of it is the host's port.
func newProject(t *testing.T, d docker, example string) *project {
	t.Helper()
	p := &project{
		docker: d, program: tool(t, "docker-compose", "docker-compose"), dir: t.TempDir(),
		name: fmt.Sprintf("e2e%d", projects.Add(1)), address: freeAddress(t),
	}
	sources, err := filepath.Glob(filepath.Join("..", "deploy", "docker", example, "*.yaml"))
	if err != nil || len(sources) == 0 {
		t.Fatalf("there is no example %s: %v", example, err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.dir, filepath.Base(source)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		p.files = append(p.files, filepath.Base(source))
	}
	p.replace(t, "compose.yaml", `- "8000:`, `- "`+p.address+":")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.compose(t, "logs", "--no-color"))
		}
		p.compose(t, "down", "-v", "--remove-orphans", "-t", "1")
	})
	return p
}

func (p *project) text(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replace changes what stands once in a file.
func (p *project) replace(t *testing.T, file, before, after string) {
	t.Helper()
	text := p.text(t, file)
	if n := strings.Count(text, before); n != 1 {
		t.Fatalf("%q stands %d times in %s", before, n, file)
	}
	if err := os.WriteFile(filepath.Join(p.dir, file), []byte(strings.Replace(text, before, after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// compose runs a command of Docker Compose in the project.
func (p *project) compose(t *testing.T, args ...string) string {
	t.Helper()
	line := []string{"-p", p.name}
	for _, file := range p.files {
		line = append(line, "-f", file)
	}
	cmd := exec.Command(p.program, append(line, args...)...)
	cmd.Dir, cmd.Env = p.dir, p.environment()
	out, code, errs := ended(t, cmd)
	if code != 0 {
		t.Fatalf("docker-compose %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

func (p *project) sidecar(t *testing.T) string { return p.compose(t, "ps", "-q", "countersign") }

// up brings the project up, and waits until Docker finds the sidecar healthy.
func (p *project) up(t *testing.T) {
	t.Helper()
	p.compose(t, "up", "-d")
	p.awaitHealth(t)
}

func (p *project) awaitHealth(t *testing.T) {
	t.Helper()
	box := p.sidecar(t)
	eventuallyWithin(t, settled, "Docker does not find the sidecar healthy", func() bool {
		return p.do(t, "inspect", "-f", "{{.State.Health.Status}}", box) == "healthy"
	})
}

// ask runs a command in the sidecar's container, as its documentation says.
func (p *project) ask(t *testing.T, args ...string) (printed string, code int) {
	t.Helper()
	printed, code, _ = ended(t, p.command(append([]string{"exec", p.sidecar(t), "/countersign"}, args...)...))
	return printed, code
}

// sidecarStatus is the part of countersign status that the tests read.
type sidecarStatus struct {
	Sensor    string
	Probe     struct{ Attach string }
	Health    document
	Decisions struct {
		Open *struct {
			ID string `json:"incident_id"`
		} `json:"open_incident"`
	}
}

func (p *project) status(t *testing.T) (s sidecarStatus) {
	t.Helper()
	out, code := p.ask(t, "status", "--json")
	if code != 0 {
		return s
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return s
}

// answers waits until the published port answers, and returns with which status.
func (p *project) answers(t *testing.T, path string) (status int) {
	t.Helper()
	eventuallyWithin(t, settled, "the published port does not answer", func() bool {
		resp, err := http.Get("http://" + p.address + path)
		if err != nil {
			return false
		}
		status = resp.StatusCode
		return resp.Body.Close() == nil
	})
	return status
}

// mustMeasureAndDecide goes through what an example is for: traffic and its P95, a fault and
// its incident, SIGTERM and SIGKILL, a start on the same volumes, and a ledger that holds. The ledger's volumes
// are given to a container by the words of docker run, and what follows -- is for ledger verify.
func (p *project) mustMeasureAndDecide(t *testing.T, words ...string) {
	t.Helper()
	p.measure(t)
	opened := p.fail(t)
	for _, end := range []struct {
		command []string
		code    string
	}{{[]string{"stop", "countersign"}, "0"}, {[]string{"kill", "-s", "KILL", "countersign"}, "137"}} {
		box := p.sidecar(t)
		p.compose(t, end.command...)
		if code := p.do(t, "inspect", "-f", "{{.State.ExitCode}}", box); code != end.code {
			t.Errorf("after %v its exit code is %s, not %s", end.command, code, end.code)
		}
		p.verifyStopped(t, words)
		p.compose(t, "start", "countersign")
		p.awaitHealth(t)
		eventuallyWithin(t, settled, "the incident should be on record still", func() bool {
			_, code := p.ask(t, "incident", "show", opened)
			return code == 0
		})
	}
	if out, code := p.ask(t, "ledger", "verify", "http://127.0.0.1:9090/ledger/"); code != 0 || !strings.HasPrefix(out, "VERIFIED") {
		t.Errorf("ledger verify: %d\n%s", code, out)
	}
}

// measure sends traffic of a known latency, and reads its P95.
func (p *project) measure(t *testing.T) {
	t.Helper()
	const requests, wait = 60, 20 // ms
	for range requests {
		if status := p.answers(t, fmt.Sprintf("/?wait=%dms", wait)); status != http.StatusOK {
			t.Fatalf("the API answers %d", status)
		}
	}
	var s sidecarStatus
	eventuallyWithin(t, settled, "the requests should be measured", func() bool {
		s = p.status(t)
		return s.Health.Metrics.SampleSize >= requests
	})
	if m := s.Health.Metrics; m.OverallP95 < wait || m.OverallP95 > 100*wait || m.ErrorRate != 0 {
		t.Errorf("P95 %v ms, errors %v", m.OverallP95, m.ErrorRate)
	}
}

// fail has the API fail, and returns the incident that is opened for that.
func (p *project) fail(t *testing.T) (id string) {
	t.Helper()
	resp, err := http.Post("http://"+p.address+"/health", "application/json", strings.NewReader("503"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	eventuallyWithin(t, settled, "an incident should be opened", func() bool {
		for range 20 {
			if status := p.answers(t, "/health"); status != http.StatusServiceUnavailable {
				t.Fatalf("the API answers %d", status)
			}
		}
		open := p.status(t).Decisions.Open
		if open != nil {
			id = open.ID
		}
		return open != nil
	})
	if out, code := p.ask(t, "incident", "show", id); code != 0 || !strings.Contains(out, "incident.detected") {
		t.Errorf("incident show: %d\n%s", code, out)
	}
	return id
}

// verifyStopped verifies the ledger of a sidecar that has ended, from its volumes.
func (p *project) verifyStopped(t *testing.T, words []string) {
	t.Helper()
	i := slices.Index(words, "--")
	line := slices.Concat([]string{"run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"},
		words[:i], []string{"countersign", "ledger", "verify", "--store", "/data"}, words[i+1:])
	if out, code, errs := ended(t, p.command(line...)); code != 0 || !strings.HasPrefix(out, "VERIFIED") {
		t.Errorf("docker %s: %d\n%s%s", strings.Join(line, " "), code, out, errs)
	}
}
