//go:build slow

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/countersign-dev/countersign/demo"
	"github.com/countersign-dev/countersign/orchestrator/notify/kinds"
)

// silentConfig has a channel of every kind and an action. Each leads to a name,
// so that even to ask for its address would be to leave.
const silentConfig = `approval: {listen: %[1]q, public_url: "https://approve.example"}
actions:
  - {name: restart, url: "https://deploy.invalid/restart", secret_file: %[2]q, gates: ["*"]}
channels:
  - {id: telegram, kind: telegram, timeout: 10s, settings: {api_url: "https://telegram.invalid", chat_id: "1", token_file: %[3]q}}
  - {id: slack, kind: slack, timeout: 10s, settings: {url_file: %[4]q}}
  - id: whatsapp
    kind: whatsapp
    timeout: 10s
    settings: {api_url: "https://meta.invalid", token_file: %[3]q, phone_number_id: "1", to: "+15551234567", link_base: "https://approve.example/action/recover?token="}
  - id: twilio-whatsapp
    kind: twilio_whatsapp
    timeout: 10s
    settings:
      api_url: https://twilio.invalid
      account_sid: AC0123456789abcdef0123456789abcdef
      token_file: %[3]q
      from: "+15557654321"
      to: "+15551234567"
      content_decision: HX0123456789abcdef0123456789abcdef
      content_notice: HX0123456789abcdef0123456789abcdef
      link_base: https://approve.example/action/recover?token=
  - id: twilio-voice
    kind: twilio_voice
    timeout: 10s
    settings: {api_url: "https://twilio.invalid", account_sid: AC0123456789abcdef0123456789abcdef, token_file: %[3]q, from: "+15557654321", to: "+15551234567"}
  - {id: smtp, kind: smtp, timeout: 10s, settings: {server: "mail.invalid:587", from: a@shop.example, to: b@shop.example}}
  - {id: webhook, kind: webhook, timeout: 10s, settings: {url: "https://inbox.invalid/", secret_file: %[2]q}}
  - {id: alertmanager, kind: alertmanager, timeout: 10s, settings: {url: "https://alertmanager.invalid"}}
contacts:
  - {id: ana, channels: [telegram, slack, whatsapp, twilio-whatsapp, twilio-voice, smtp, webhook, alertmanager]}
`

// traced is a command line that runs the rest of it, and writes down each call
// by which a program can reach another over a network. It runs in strace's place.
func traced(t *testing.T, file string) []string {
	t.Helper()
	return []string{tool(t, "strace", "strace"), "-D", "-f", "-qq", "-e", "signal=none", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", file}
}

// destination is that of a call, such as "127.0.0.1:53".
var destination = regexp.MustCompile(`sin6?_port=htons\((\d+)\).*inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"`)

// reached are the addresses that a traced program turned to. What it said to the
// kernel and within the machine's own sockets is left out.
func reached(t *testing.T, file string) (addresses []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if to := destination.FindStringSubmatch(line); to != nil {
			addresses = append(addresses, net.JoinHostPort(to[2], to[1]))
		} else if strings.Contains(line, "AF_INET") {
			t.Fatalf("strace wrote a line that is not understood: %s", line)
		}
	}
	return addresses
}

// TestShadowModeSendsNothing has everything configured and an incident that
// would be told of, asked about and mended. From its first moment to its end
// the process turns to nobody but its own upstream: no connection, no datagram
// and no question for a name.
func TestShadowModeSendsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	config := file("config.yaml", fmt.Sprintf(silentConfig, freeAddress(t),
		file("key", askingSecret), file("token", "0123456789abcdef0123456789abcdef"), file("hook", "https://slack.invalid/services/x")))
	trace := filepath.Join(dir, "trace")
	f := makeFaulty(t, filepath.Join(dir, "data"), func(*demo.API) []string { return []string{"--config", config} })
	f.through = traced(t, trace)
	f.begin(t)
	f.command(t, "config", "lint", config)
	f.set(t, demo.Faults{LatencyMS: 4000})
	f.awaitStage(t, 8*tick, "VALIDATED")
	eventually(t, "what would have been done should be on record", func() bool { return len(f.entries(t, "effect.suppressed")) >= 4 })
	f.set(t, demo.Faults{})
	f.awaitStage(t, 12*tick, "RECOVERED")
	f.mustStaySuppressed(t)
	for _, kind := range []string{"approval.offered", "incident.authorized", "incident.executed", "effect.receipt"} {
		if found := f.entries(t, kind); len(found) > 0 {
			t.Errorf("in shadow mode: %v", found[0])
		}
	}
	t.Logf("peak RSS %.1f MiB", float64(peakRSS(t, f.cmd.Process.Pid))/(1<<20))
	f.mustBeSeenToSend(t, config)
	f.signal(t, syscall.SIGTERM)
	f.awaitExit(t) // by then strace has written all of it
	upstream := 0
	for _, address := range reached(t, trace) {
		if address == f.api.Addr() {
			upstream++
		} else {
			t.Errorf("in shadow mode it turned to %s", address)
		}
	}
	if upstream == 0 {
		t.Error("not even the connections to the upstream were seen")
	}
}

// mustBeSeenToSend makes sure that each kind of channel would have been seen: a
// test that is ordered asks for the name that it leads to.
func (f *faulty) mustBeSeenToSend(t *testing.T, config string) {
	t.Helper()
	for _, k := range kinds.All() {
		channel, trace := strings.ReplaceAll(k.Name, "_", "-"), filepath.Join(t.TempDir(), "trace")
		line := slices.Concat(traced(t, trace), []string{binary, "notify", "test", "--config", config, "--admin", f.admin[len("http://"):]})
		out, err := exec.Command(line[0], append(line[1:], channel)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), channel+" ("+k.Name+"): not sent: shadow mode is on") {
			t.Errorf("a test in shadow mode: %v\n%s", err, out)
		}
		if to := reached(t, trace); len(to) == 0 || slices.ContainsFunc(to, func(a string) bool { return "http://"+a != f.admin }) {
			t.Errorf("to try %s out in shadow mode it turned to %q", k.Name, to)
		}
		out, err = exec.Command(line[0], append(line[1:], "--despite-shadow", channel)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), channel+" ("+k.Name+"): FAILED: ") {
			t.Errorf("a test that cannot arrive: %v\n%s", err, out)
		}
		if to := reached(t, trace); !slices.ContainsFunc(to, func(a string) bool { return strings.HasSuffix(a, ":53") }) {
			t.Errorf("to send a test by %s it turned to %q: nobody was asked for its address", k.Name, to)
		}
	}
}
