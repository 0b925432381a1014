//go:build slow

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/countersign-dev/countersign/demo"
)

// silentConfig has a channel of every kind and an action, all of which lead to
// one address.
const silentConfig = `approval: {listen: %[1]q, public_url: "http://%[1]s"}
actions:
  - {name: restart, url: "http://%[2]s/restart", secret_file: %[3]q, allow_private: true, gates: ["*"]}
channels:
  - {id: telegram, kind: telegram, allow_private: true, settings: {api_url: "http://%[2]s", chat_id: "1", token_file: %[4]q}}
  - {id: slack, kind: slack, allow_private: true, settings: {url_file: %[5]q}}
  - {id: whatsapp, kind: whatsapp, allow_private: true, settings: {%[6]s}}
  - {id: whatsapp2, kind: twilio_whatsapp, allow_private: true, settings: {%[7]s}}
  - {id: voice, kind: twilio_voice, allow_private: true, settings: {%[8]s}}
  - {id: mail, kind: smtp, allow_private: true, settings: {%[9]s}}
  - {id: webhook, kind: webhook, allow_private: true, settings: {url: "http://%[2]s/", secret_file: %[3]q}}
  - {id: alertmanager, kind: alertmanager, allow_private: true, settings: {url: "http://%[2]s"}}
contacts:
  - {id: ana, channels: [telegram, slack, whatsapp, whatsapp2, voice, mail, webhook, alertmanager]}
`

// Settings of those that need many.
const (
	whatsappSettings       = `api_url: "http://%[1]s", token_file: %[2]q, phone_number_id: "1", to: "+15551234567", link_base: "http://%[3]s/action/recover?token="`
	twilioWhatsappSettings = `%s, content_decision: HX0123456789abcdef0123456789abcdef, content_notice: HX0123456789abcdef0123456789abcdef, link_base: "http://%[3]s/action/recover?token="`
)

// tryChannels has a test message sent over every channel, and returns what was said.
func tryChannels(config string) string {
	out, _ := exec.Command(binary, "notify", "test", "--config", config).CombinedOutput() // it fails, as it should
	return string(out)
}

// TestShadowModeSendsNothing has everything configured and an incident that
// would be told of, asked about and mended: nobody is even connected to.
func TestShadowModeSendsNothing(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-ended })

	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	there := ln.Addr().String()
	key, token, hook := file("key", askingSecret), file("token", "0123456789abcdef0123456789abcdef"), file("hook", "http://"+there+"/services/x")
	twilio := fmt.Sprintf(`api_url: "http://%s", account_sid: AC0123456789abcdef0123456789abcdef, token_file: %q, from: "+15557654321", to: "+15551234567"`, there, token)
	config := file("config.yaml", fmt.Sprintf(silentConfig, freeAddress(t), there, key, token, hook,
		fmt.Sprintf(whatsappSettings, there, token), fmt.Sprintf(twilioWhatsappSettings, twilio), twilio,
		fmt.Sprintf(`server: %q, security: none, from: a@shop.example, to: b@shop.example`, there)))
	f := startFaultyIn(t, filepath.Join(dir, "data"), func(*demo.API) []string { return []string{"--config", config} })
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
	if n := connections.Load(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
	t.Logf("peak RSS %.1f MiB", float64(peakRSS(t, f.cmd.Process.Pid))/(1<<20))
	// The address is the right one: a test, which a person orders, goes there.
	if out := tryChannels(config); !strings.Contains(out, "FAILED") || connections.Load() == 0 {
		t.Errorf("a test connected %d times and said\n%s", connections.Load(), out)
	}
}
