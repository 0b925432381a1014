package kinds

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/countersign-dev/countersign/orchestrator/egress"
	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
)

// minimal configures a channel of a kind that sends to an address, with the
// variables that have its secrets: without TLS if the network is private.
func minimal(t *testing.T, k notify.Kind, address string, private bool) (notify.Config, map[string]string) {
	t.Helper()
	const phone, sid = "+15551234567", "0123456789abcdef0123456789abcdef"
	base, security := "https://"+address, "starttls"
	if private {
		base, security = "http://"+address, "none"
	}
	settings := map[string]string{
		"api_url": base, "url": base, "server": address, "security": security,
		"chat_id": "1", "phone_number_id": "1", "to": phone, "from": phone, "link_base": notifytest.Base,
		"account_sid": "AC" + sid, "content_decision": "HX" + sid, "content_notice": "HX" + sid,
	}
	env := map[string]string{
		"TOKEN": "a-token-0123456789", "SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "URL": base + "/services/a/b/c",
	}
	values, secrets := map[string]string{}, map[string]notify.Secret{}
	for _, s := range k.Settings {
		switch {
		case s.Secret && s.Required:
			secrets[s.Key] = notify.Secret{Env: strings.ToUpper(s.Key)}
		case !s.Secret && (s.Required || s.Key == "api_url" || s.Key == "security" || k.Name == "twilio_whatsapp" && s.Key == "from"):
			values[s.Key] = settings[s.Key]
		}
	}
	if k.Name == "smtp" {
		values["from"], values["to"] = "a@shop.example", "b@shop.example"
	}
	c, err := notify.NewConfig(k, k.Name, values, secrets, private)
	if err != nil {
		t.Fatal(err)
	}
	return c, env
}

// every opens a channel of every kind that sends to an address of this machine
// through a gate.
func every(t *testing.T, address string, private bool, gate *egress.Gate) []notify.Channel {
	t.Helper()
	var channels []notify.Channel
	for _, k := range All() {
		c, env := minimal(t, k, address, private)
		outside := notify.Through(gate, c, func(key string) string { return env[key] }, notifytest.Outside(nil, nil).Now)
		channel, err := c.Open(All(), outside)
		if err != nil {
			t.Fatal(err)
		}
		channels = append(channels, channel)
	}
	return channels
}

// In shadow mode no channel resolves a name or opens a connection.
func TestShadow(t *testing.T) {
	gate := egress.New(egress.Options{
		Shadow: func(tenant string) bool { return tenant == "local" },
		Connect: func(context.Context, string, string) (net.Conn, error) {
			t.Error("a connection")
			return nil, errors.New("no")
		},
	})
	for _, c := range every(t, "127.0.0.1:1", true, gate) {
		e := notifytest.Refusal(t, t.Context(), c, notifytest.Message(notify.Validated))
		if !errors.Is(e, egress.ErrShadow) || e.Unsure || !strings.Contains(e.Text, "shadow mode") {
			t.Errorf("%s: %+v", c.Kind(), e)
		}
	}
}

// Without allow_private none connects to a private address, and each says how
// to allow it.
func TestPrivateAddresses(t *testing.T) {
	gate := egress.New(egress.Options{
		Shadow: func(string) bool { return false },
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
		},
		Connect: func(context.Context, string, string) (net.Conn, error) {
			t.Error("a connection")
			return nil, errors.New("no")
		},
	})
	for _, c := range every(t, "inside.example:1", false, gate) {
		e := notifytest.Refusal(t, t.Context(), c, notifytest.Message(notify.Validated))
		if _, ok := errors.AsType[*egress.RefusedError](e); !ok || e.Retry || !strings.Contains(e.Mend, "allow_") {
			t.Errorf("%s: %+v", c.Kind(), e)
		}
	}
}

// With it each gets through.
func TestThroughTheGate(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	gate := egress.New(egress.Options{Shadow: func(string) bool { return false }})
	for _, c := range every(t, strings.TrimPrefix(server.URL, "http://"), true, gate) {
		if c.Kind() == "smtp" {
			continue // its server speaks first
		}
		before := asked.Load()
		if e := notifytest.Refusal(t, t.Context(), c, notifytest.Message(notify.Validated)); e.Status != http.StatusTeapot || asked.Load() != before+1 {
			t.Errorf("%s: %+v", c.Kind(), e)
		}
	}
}
