//go:build slow

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startUpstream answers every request with 200.
func startUpstream(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(s.Close)
	return s.URL
}

// ledgerReport is the part of /status about the ledger.
type ledgerReport struct {
	State   string `json:"state"`
	Size    uint64 `json:"size"`
	Key     string `json:"key"`
	Problem string `json:"problem"`
}

func (s *sidecar) ledger(t *testing.T) ledgerReport {
	t.Helper()
	var status struct{ Ledger ledgerReport }
	if err := json.Unmarshal(get(t, s.admin+"/status"), &status); err != nil {
		t.Fatalf("/status is not JSON: %v", err)
	}
	return status.Ledger
}

// awaitReady waits until decisions can be recorded, and orders taken.
func (s *sidecar) awaitReady(t *testing.T) {
	t.Helper()
	eventually(t, "decisions should be recorded", func() bool {
		return strings.Contains(string(get(t, s.admin+"/status")), `"decisions":{"ready":true`)
	})
}

// awaitLedger waits until the ledger has an end of its check, and returns it
// when the sidecar has had the time to record that it started.
func (s *sidecar) awaitLedger(t *testing.T, state string, size uint64) ledgerReport {
	t.Helper()
	var r ledgerReport
	eventually(t, fmt.Sprintf("the ledger should be %s with %d entries", state, size), func() bool {
		r = s.ledger(t)
		return r.State == state && r.Size == size
	})
	up := 0.0
	if state == "open" {
		up = 1
	}
	if got, ok := s.series(t)["countersign_ledger_up"]; !ok || got != up {
		t.Errorf("while the ledger is %s, countersign_ledger_up is %v", state, got)
	}
	return r
}

// mustServe sends requests through the sidecar and expects an answer to each.
func (s *sidecar) mustServe(t *testing.T) {
	t.Helper()
	for range 100 {
		get(t, s.url+"/")
	}
}

// mustNotServeLedger makes sure that the ledger's resources are refused with a reason.
func (s *sidecar) mustNotServeLedger(t *testing.T) {
	t.Helper()
	resp, err := http.Get(s.admin + "/ledger/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var body struct{ Error string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusServiceUnavailable || body.Error == "" {
		t.Errorf("without a ledger its checkpoint is %s %q, %v", resp.Status, body.Error, err)
	}
}

// stopWell ends the sidecar with SIGTERM, and expects that this is orderly.
func (s *sidecar) stopWell(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	if code := s.awaitExit(t); code != 0 {
		t.Errorf("the sidecar exits with %d", code)
	}
	if out := s.printed(); strings.Contains(out, "goroutine ") {
		t.Error("the sidecar has crashed")
	}
}

// mustVerifyLedger verifies the ledger of a running sidecar by the command for
// it, with a key, and returns the kinds of its entries.
func (s *sidecar) mustVerifyLedger(t *testing.T, key string) []string {
	t.Helper()
	url := s.admin + "/ledger/"
	out, err := exec.Command(binary, "ledger", "verify", url, "--vkey", key).CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte("VERIFIED")) {
		t.Fatalf("ledger verify: %v\n%s", err, out)
	}
	shown, err := exec.Command(binary, "ledger", "show", url, "--vkey", key, "--json").Output()
	if err != nil {
		t.Fatalf("ledger show: %v\n%s", err, shown)
	}
	var kinds []string
	for lines := bufio.NewScanner(bytes.NewReader(shown)); lines.Scan(); {
		kind := label(strings.ReplaceAll(lines.Text(), `":"`, `="`), "kind")
		if kind == "" {
			t.Fatalf("ledger show prints %q", lines.Text())
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// TestSidecarServesWhileLedgerDiskIsFull: a full disk stops the ledger and
// nothing else, neither while the sidecar runs nor when it starts.
func TestSidecarServesWhileLedgerDiskIsFull(t *testing.T) {
	v := newVolume(t, 192*mib)
	upstream, data := startUpstream(t), filepath.Join(v.dir, "data")
	s := startSidecar(t, upstream, "--data", data)
	key := s.awaitLedger(t, "open", 3).Key
	v.fill("ballast")
	s.mustServe(t)
	s.awaitLedger(t, "open", 3)
	if kinds := s.mustVerifyLedger(t, key); !slices.Equal(kinds, []string{"ledger.created", "sidecar.started", "policy.loaded"}) {
		t.Errorf("the ledger on a full disk has %q", kinds)
	}
	s.stopWell(t)

	s = startSidecar(t, upstream, "--data", data)
	if r := s.awaitLedger(t, "failed", 0); !strings.Contains(r.Problem, "too little free disk space") {
		t.Errorf("started on a full disk, the ledger says %q", r.Problem)
	}
	s.mustReport(t, "too little free disk space")
	s.mustServe(t)
	s.mustNotServeLedger(t)
	s.stopWell(t)

	v.give("ballast")
	s = startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "open", 4)
	if kinds := s.mustVerifyLedger(t, key); !slices.Equal(kinds, []string{"ledger.created", "sidecar.started", "policy.loaded", "sidecar.started"}) {
		t.Errorf("the ledger has %q", kinds)
	}
	s.stopWell(t)
}

// mustReport looks for an error in the sidecar's log.
func (s *sidecar) mustReport(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(s.printed()) {
		if strings.Contains(line, `"level":"ERROR"`) && strings.Contains(line, text) {
			return
		}
	}
	t.Errorf("the sidecar has logged no error with %q:\n%s", text, s.printed())
}

// TestSidecarBegunOnFullDisk: the first start of all finds no space.
func TestSidecarBegunOnFullDisk(t *testing.T) {
	v := newVolume(t, 192*mib)
	upstream, data := startUpstream(t), filepath.Join(v.dir, "data")
	v.fill("ballast")
	s := startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "failed", 0)
	s.mustReport(t, "space")
	s.mustServe(t)
	s.stopWell(t)

	v.give("ballast")
	s = startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "open", 3)
	s.stopWell(t)
}

// TestSidecarServesWhileLedgerIsDamaged flips one bit of an entry.
func TestSidecarServesWhileLedgerIsDamaged(t *testing.T) {
	upstream, data := startUpstream(t), filepath.Join(t.TempDir(), "data")
	s := startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "open", 3)
	s.stopWell(t)
	flipBit(t, filepath.Join(data, "store"), "sidecar.started")

	s = startSidecar(t, upstream, "--data", data)
	r := s.awaitLedger(t, "failed", 0)
	if !strings.Contains(r.Problem, "damaged") {
		t.Errorf("of a damaged ledger the status says %q", r.Problem)
	}
	s.mustReport(t, r.Problem[:min(len(r.Problem), 40)])
	s.mustServe(t)
	s.mustNotServeLedger(t)
	if out, err := exec.Command(binary, "ledger", "verify", s.admin+"/ledger/").CombinedOutput(); err == nil {
		t.Errorf("a ledger that is not served is verified:\n%s", out)
	}
	s.stopWell(t)
}

// flipBit changes one bit of the first file in a directory that holds a text, in it.
func flipBit(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(data, []byte(text)); at >= 0 {
			data[at] ^= 1
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no file in %s holds %q", dir, text)
}

// TestSidecarServesWhileLedgerDiskIsReadOnly: the kernel refuses writes to the
// ledger's disk while the sidecar runs.
func TestSidecarServesWhileLedgerDiskIsReadOnly(t *testing.T) {
	v := newVolume(t, 192*mib)
	upstream, data := startUpstream(t), filepath.Join(v.dir, "data")
	s := startSidecar(t, upstream, "--data", data)
	key := s.awaitLedger(t, "open", 3).Key
	v.turnReadOnly()
	s.mustServe(t)
	s.mustVerifyLedger(t, key)
	s.stopWell(t)
	s.mustReport(t, "cannot record a step")

	s = startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "failed", 0)
	s.mustServe(t)
	s.stopWell(t)

	v.remount()
	s = startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "open", 4)
	if kinds := s.mustVerifyLedger(t, key); !slices.Equal(kinds, []string{"ledger.created", "sidecar.started", "policy.loaded", "sidecar.started"}) {
		t.Errorf("the ledger has %q", kinds)
	}
	s.stopWell(t)
}

// TestSecondSidecarIsRefused starts another sidecar on the same data.
func TestSecondSidecarIsRefused(t *testing.T) {
	upstream, data := startUpstream(t), filepath.Join(t.TempDir(), "data")
	s := startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "open", 3)
	second := start(t, syscall.SIGKILL, binary, "run", "--upstream", upstream, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data", data)
	if code := second.awaitExit(t); code == 0 {
		t.Error("the second sidecar exits with 0")
	}
	if said := second.printed(); !strings.Contains(said, "in use by another process") || !strings.Contains(said, data) {
		t.Errorf("the second sidecar says: %s", said)
	}
	s.mustServe(t)
	s.stopWell(t)
	s = startSidecar(t, upstream, "--data", data)
	s.awaitLedger(t, "open", 5)
	s.stopWell(t)
}

// TestSidecarLedgerSurvivesKill kills sidecars under load.
func TestSidecarLedgerSurvivesKill(t *testing.T) {
	const kills = 5
	upstream, data := startUpstream(t), filepath.Join(t.TempDir(), "data")
	random := rand.New(rand.NewPCG(ledgerSeed, 13))
	want := []string{"ledger.created", "sidecar.started", "policy.loaded"}
	for i := range uint64(kills) {
		s := startSidecar(t, upstream, "--data", data)
		l := startLoad(t, s.address, 8, "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n")
		s.awaitLedger(t, "open", i+3)
		eventually(t, "requests should be answered", func() bool { return l.ok.Load() > 100 })
		spin(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
		s.kill()
		l.end()
		if i > 0 {
			want = append(want, "sidecar.started")
		}
	}
	s := startSidecar(t, upstream, "--data", data)
	key := s.awaitLedger(t, "open", kills+3).Key
	if kinds := s.mustVerifyLedger(t, key); !slices.Equal(kinds, append(want, "sidecar.started")) {
		t.Errorf("the ledger has %q", kinds)
	}
	s.stopWell(t)
}
