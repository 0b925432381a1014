//go:build slow

package alertmanager

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

const routes = "route: {receiver: nobody, group_by: ['...']}\nreceivers: [{name: nobody}]\n"

// debian starts the Alertmanager of Debian's prometheus-alertmanager, and
// returns its address.
func debian(t *testing.T) string {
	t.Helper()
	binary, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		t.Fatalf("%v: run .ci/deps, or apt-get install prometheus-alertmanager", err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	if err := os.WriteFile(config, []byte(routes), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var said strings.Builder
	command := exec.Command(binary, "--config.file="+config, "--storage.path="+dir, "--cluster.listen-address=", "--web.listen-address="+address)
	command.Stderr = &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Process.Kill(); _ = command.Wait() })
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get("http://" + address + "/-/ready")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return "http://" + address
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("alertmanager does not get ready: %v", err)
		}
	}
}

// firing are the names of the alerts that fire, and their annotations.
func firing(t *testing.T, base string) (string, map[string]map[string]string) {
	t.Helper()
	res, err := http.Get(base + "/api/v2/alerts?active=true")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var list []struct{ Labels, Annotations map[string]string }
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	var names []string
	annotations := map[string]map[string]string{}
	for _, a := range list {
		names = append(names, a.Labels["alertname"])
		annotations[a.Labels["alertname"]] = a.Annotations
	}
	sort.Strings(names)
	return strings.Join(names, " "), annotations
}

// What fires in a real Alertmanager, and what ends again.
func TestAlertmanagerOfDebian(t *testing.T) {
	base := debian(t)
	c := openWith(t, base, nil, nil, nil)
	for _, message := range []func(notify.Event) notify.Message{notifytest.Message, notifytest.Hostile} {
		for _, step := range []struct {
			event notify.Event
			fires string
		}{
			{notify.Incident, nameIncident}, {notify.Validated, nameIncident}, {notify.Escalation, nameIncident}, {notify.Recovered, ""},
			{notify.TargetDown, nameDown}, {notify.TargetFlapping, nameDown + " " + nameFlapping}, {notify.TargetUp, ""}, {notify.Incident, nameIncident}, {notify.Recovered, ""},
		} {
			m := message(step.event)
			m.At = time.Now().Add(-time.Second) // what is over must be over at the other side, too
			m.Began = m.At.Add(-time.Minute)
			if _, err := c.Send(t.Context(), m); err != nil {
				t.Fatalf("%s: %v", step.event, err)
			}
			names, annotations := firing(t, base)
			if names != step.fires {
				t.Errorf("after %s fires %q instead of %q", step.event, names, step.fires)
			}
			if step.event == notify.Validated && (annotations[nameIncident]["link"] != m.Link || annotations[nameIncident]["summary"] != m.Subject()) {
				t.Errorf("%v", annotations)
			}
		}
	}
}
