package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTenants(t *testing.T) {
	const text = "tenants:\n  - id: billing\n    health_url: https://billing.example/health/alerts\n    secret_env: BILLING_SECRET\n"
	l, err := Parse("c.yaml", []byte(text))
	if err != nil || len(l.Tenants) != 1 || l.Tenants[0].ID != "billing" || l.Tenants[0].SecretEnv != "BILLING_SECRET" {
		t.Fatalf("%+v, %v", l, err)
	}
	if _, err := Parse("c.yaml", []byte(text+"service:\n  tenant: billing\n")); err == nil || !strings.Contains(err.Error(), "c.yaml:2:") {
		t.Errorf("a tenant with the id of the own service: %v", err)
	}
	none, err := Parse("c.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	merged, changes := none.Reload(l)
	if len(changes) != 1 || changes[0].Applied || changes[0].Field.Key != "tenants.billing" || changes[0].New != "https://billing.example/health/alerts" || len(merged.Tenants) != 0 {
		t.Errorf("%+v, and the tenants are %+v", changes, merged.Tenants)
	}
}

// What could bring nobody a link is said at the start, and not when somebody has
// to decide.
func TestLinksFitTheChannels(t *testing.T) {
	const channels = `channels:
  - id: telegram
    kind: telegram
    settings: {chat_id: "1", token_env: TOKEN}
  - id: meta
    kind: whatsapp
    settings: {token_env: TOKEN, phone_number_id: "1", to: "+15551234567", link_base: "https://approve.example/action/recover?token="}
  - id: twilio
    kind: twilio_whatsapp
    settings:
      account_sid: AC0123456789abcdef0123456789abcdef
      token_env: TOKEN
      from: "+15557654321"
      to: "+15551234567"
      content_decision: HX0123456789abcdef0123456789abcdef
      content_notice: HX0123456789abcdef0123456789abcdef
      link_base: "https://approve.example/"
`
	const base = `has the link_base https://approve.example/`
	for public, want := range map[string][]string{
		"https://approve.example":       nil,
		"https://approve.example/":      nil,
		"http://approve.example":        {`c.yaml:6:5: the channel "meta" ` + base, `c.yaml:9:5: the channel "twilio" ` + base},
		"https://approve.example:8443":  {`c.yaml:6:5: the channel "meta" ` + base, `c.yaml:9:5: the channel "twilio" ` + base},
		"https://approve.example/below": {`c.yaml:6:5: the channel "meta" ` + base + `action/recover?token=, and its links begin with https://approve.example/below/action/recover?token=: set link_base`},
		"https://localhost": {
			`c.yaml:3:5: the channel "telegram" cannot bring links that begin with https://localhost/`, `c.yaml:6:5: the channel "meta" ` + base, `c.yaml:9:5: the channel "twilio" ` + base,
		},
	} {
		_, err := Parse("c.yaml", []byte("approval: {listen: \":1\", public_url: "+public+"}\n"+channels))
		var said []string
		if problems, ok := errors.AsType[Problems](err); ok {
			said = strings.Split(strings.TrimSpace(problems.Lines()), "\n")
		}
		if len(said) != len(want) {
			t.Errorf("%s: %q", public, said)
			continue
		}
		for i, text := range want {
			if !strings.Contains(said[i], text) {
				t.Errorf("%s: %q instead of %q", public, said[i], text)
			}
		}
	}
	if _, err := Parse("c.yaml", []byte(channels)); err != nil {
		t.Errorf("where nobody is sent a link, none has to fit: %v", err)
	}
}

// lists is a sound file with an entry of each; the contacts stand before the
// channels that they name.
const lists = `contacts:
  - id: ana
    name: Ana
    channels: [pager]
actions:
  - name: restart
    url: https://deploy.example/hooks/restart?mode=rolling
    secret_env: DEPLOY_KEY
    gates: ["*"]
channels:
  - id: pager
    kind: webhook
    settings:
      url: https://pager.example/hook?token=in-the-query
      secret_file: /run/secrets/pager
`

func TestListsAreRead(t *testing.T) {
	l, err := Parse("c.yaml", []byte(lists))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, i := range l.Items() {
		got = append(got, fmt.Sprintf("%s = %s (%s)", i.Key, i.Value, i.From))
	}
	want := []string{
		"actions.restart = POST https://deploy.example/hooks/restart?…, medium risk, 1 approval (c.yaml:6:5)",
		"channels.pager = webhook (c.yaml:11:5)",
		"contacts.ana = Ana by pager, escalation 1 (c.yaml:2:5)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestListsSayWhatIsWrongAndWhere(t *testing.T) {
	for _, tc := range []struct{ name, old, new, want string }{
		{"key of an action", "    gates:", "    gats:", `c.yaml:9:5: unknown key "gats" of an action; did you mean "gates"?`},
		{"kind of a channel", "webhook", "webhok", `c.yaml:11:5: the channel "pager" has the unknown kind "webhok"; did you mean "webhook"?`},
		{"a secret in the file", "      secret_file: /run/secrets/pager", "      secret: whsec_x", `c.yaml:15:7: a secret has no place in this file: give secret_file, or secret_env with the name of a variable`},
		{"tenant of an action", "    gates:", "    tenant: billing\n    gates:", `c.yaml:6:5: the action "restart" is for the tenant "billing", which there is not: list it under tenants, or name the own one, "local"`},
		{"tenant of a channel", "    kind:", "    tenant: billing\n    kind:", `c.yaml:11:5: the channel "pager" is for the tenant "billing", which there is not: list it under tenants, or name the own one, "local"`},
		{"more approvals than people", "    gates:", "    approvals: 2\n    gates:", `c.yaml:6:5: the action "restart" needs 2 approvals by different people, and only 1 contact can be asked: it could never run`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(strings.Replace(lists, tc.old, tc.new, 1)))
			problems, _ := errors.AsType[Problems](err)
			if len(problems) == 0 || problems[0].Error() != tc.want {
				t.Errorf("\n got %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestContactsNameChannelsThatThereAre(t *testing.T) {
	_, err := Parse("c.yaml", []byte(strings.Replace(lists, "[pager]", "[pgaer]", 1)))
	if err == nil || !strings.HasPrefix(err.Error(), "c.yaml:4:") {
		t.Errorf("got %v", err)
	}
}

func TestListsNeedARestart(t *testing.T) {
	was, err := Parse("c.yaml", []byte(lists))
	if err != nil {
		t.Fatal(err)
	}
	// What only moved in the file is as it was.
	moved, err := Parse("c.yaml", []byte("log: {level: debug}\n"+lists))
	if err != nil {
		t.Fatal(err)
	}
	if _, changes := was.Reload(moved); len(changes) != 1 || changes[0].Field.Key != "log.level" {
		t.Errorf("moved: %+v", changes)
	}
	// A change that the line does not show is one all the same.
	changed := strings.NewReplacer("DEPLOY_KEY", "OTHER_KEY", "name: Ana", "name: Ann", "/run/secrets/pager", "/run/secrets/other").Replace(lists)
	next, err := Parse("c.yaml", []byte(changed))
	if err != nil {
		t.Fatal(err)
	}
	merged, changes := was.Reload(next)
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprint(c.Field.Key, " ", c.Applied))
	}
	if want := []string{"actions.restart false", "channels.pager false", "contacts.ana false"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if merged.Contacts[0].Name != "Ana" {
		t.Errorf("taken over: %+v", merged.Contacts)
	}
}

func TestTheApprovalListenerIsWholeOrNone(t *testing.T) {
	for _, tc := range []struct{ file, want string }{
		{"approval: {listen: \":1\"}", "approval.listen is given without approval.public_url: links must begin with the URL under which people reach it"},
		{"approval: {public_url: \"https://a\"}", "approval.public_url is given without approval.listen: nothing would answer there"},
		{"approval: {cert_file: c.pem, key_file: c.key}", "approval.cert_file is given without approval.listen: it is for that listener"},
		{"approval: {listen: \":1\", public_url: \"https://a\", cert_file: c.pem}", "approval.cert_file is given without approval.key_file: TLS needs both"},
		{"approval: {listen: \"127.0.0.1:9090\", public_url: \"https://a\"}", "approval.listen is 127.0.0.1:9090, as admin.address is: give each a port of its own"},
		{"approval: {listen: \"9090\", public_url: \"https://a\"}", "approval.listen must be HOST:PORT or :PORT; did you mean \":9090\"?"},
		{"approval: {listen: \":1\", public_url: \"approve.example.com\"}", "approval.public_url is not usable: the public URL"},
	} {
		_, err := Parse("c.yaml", []byte(tc.file+"\n"))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s\n got %v\nwant %s", tc.file, err, tc.want)
		}
	}
	l, err := Parse("c.yaml", []byte("approval: {listen: \":1\", public_url: \"https://a.example/x\"}\n"))
	if err != nil || l.Approval.Listen != ":1" || l.Approval.PublicURL != "https://a.example/x" {
		t.Errorf("%+v, %v", l, err)
	}
}

// TestDocumentationListsExample reads the example of lists in the documentation.
func TestDocumentationListsExample(t *testing.T) {
	data, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(data), "<!-- lists -->\n```yaml\n")
	example, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatal("there is no example of lists")
	}
	l, err := Parse("example.yaml", []byte(example))
	if err != nil || len(l.Items()) != 4 {
		t.Errorf("%+v, %v", l, err)
	}
}
