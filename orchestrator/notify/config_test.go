package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/countersign-dev/countersign/orchestrator/notify"
	"github.com/countersign-dev/countersign/orchestrator/notify/kinds"
	"github.com/countersign-dev/countersign/orchestrator/notify/notifytest"
	"github.com/countersign-dev/countersign/strictyaml"
)

// parse reads a document that has channels and contacts.
func parse(text string) ([]notify.Config, []notify.Contact, []strictyaml.Problem) {
	var channels []notify.Config
	var contacts []notify.Contact
	problems := strictyaml.Read("c.yaml", []byte(text), func(r *strictyaml.Reader, n *yaml.Node) {
		var people *yaml.Node
		r.Pairs(n, func(key, value *yaml.Node) {
			switch key.Value {
			case "channels":
				channels = notify.ParseChannels(r, value, kinds.All())
			case "contacts":
				people = value
			}
		})
		if people != nil {
			contacts = notify.ParseContacts(r, people, channels)
		}
	})
	return channels, contacts, problems
}

const sound = `
channels:
  - id: ops
    kind: telegram
    fallback: mail
    timeout: 5s
    settings:
      chat_id: -1001234567890
      token_file: /run/secrets/telegram
  - id: mail
    kind: smtp
    settings: {server: "mail.shop.example:587", from: a@shop.example, to: "ana@shop.example", user: a, password_env: MAIL_PASSWORD}
  - id: ana-voice
    kind: twilio_voice
    tenant: shop
    settings:
      account_sid: AC0123456789abcdef0123456789abcdef
      token_env: TWILIO
      from: +15557654321
      to: "+15551234567"
  - id: routes
    kind: alertmanager
    allow_hosts: [alertmanager.monitoring]
    settings: {url: "http://alertmanager.monitoring:9093"}
contacts:
  - id: ana
    name: Ana Lopes
    channels: [ops, ana-voice]
  - {id: ben, channels: [mail], escalation: 2}
`

func TestParse(t *testing.T) {
	channels, contacts, problems := parse(sound)
	if problems != nil || len(channels) != 4 || len(contacts) != 2 {
		t.Fatalf("%v %v %v", channels, contacts, problems)
	}
	c := channels[0]
	if c.ID != "ops" || c.Kind != "telegram" || c.Fallback != "mail" || c.Timeout != 5*time.Second || c.Get("chat_id") != "-1001234567890" ||
		c.Get("api_url") != "https://api.telegram.org" || c.Secret("token").String() != "file /run/secrets/telegram" || c.Where != "c.yaml:3:5" || c.Voice || c.AllowPrivate {
		t.Errorf("%+v", c)
	}
	if c := channels[1]; c.Secret("password").String() != "$MAIL_PASSWORD" || c.Timeout != notify.DefaultTimeout || c.Get("security") != "starttls" || c.Secret("none").Given() {
		t.Errorf("%+v", c)
	}
	if c := channels[2]; !c.Voice || c.Get("from") != "+15557654321" || !c.Serves("shop") || c.Serves("local") || !channels[0].Serves("local") {
		t.Errorf("%+v", c)
	}
	if c := channels[3]; c.AllowPrivate || fmt.Sprint(c.AllowHosts) != "[alertmanager.monitoring]" {
		t.Errorf("%+v", c)
	}
	ana, ben := contacts[0], contacts[1]
	if ana.ID != "ana" || ana.Name != "Ana Lopes" || fmt.Sprint(ana.Channels) != "[ops ana-voice]" || ana.Escalation != 1 || ana.Where != "c.yaml:26:5" {
		t.Errorf("%+v", ana)
	}
	if ben.Name != "ben" || ben.Escalation != 2 {
		t.Errorf("%+v", ben)
	}
	for _, c := range channels {
		channel, err := c.Open(kinds.All(), notifytest.Outside(nil, nil))
		if err != nil || channel.Name() != c.ID || channel.Kind() != c.Kind {
			t.Errorf("%s: %v", c.ID, err)
		}
	}
	if _, err := channels[0].Open(nil, notifytest.Outside(nil, nil)); err == nil {
		t.Error("a channel of no kind")
	}
}

func TestProblems(t *testing.T) {
	const telegram = "channels: [{id: a, kind: telegram, settings: {chat_id: 1, token_env: T}}]\n"
	for _, tt := range []struct{ text, problem string }{
		{"channels: {}", `c.yaml:1:11: channels must be a list`},
		{"channels: [a]", `c.yaml:1:12: a channel must have its keys`},
		{"channels: [{kind: slack}]", `a channel needs an id`},
		{"channels: [{id: a}]", `the channel "a" needs a kind: one of telegram, slack`},
		{"channels: [{id: a, kind: slak}]", `the channel "a" has the unknown kind "slak"; did you mean "slack"?`},
		{"channels: [{id: A b, kind: slack}]", `c.yaml:1:17: id must be 1 to 63 lower-case letters`},
		{"channels: [{id: a, kind: slack, colour: red}]", `c.yaml:1:33: unknown key "colour" of a channel; it has id, kind`},
		{"channels: [{id: a, kind: slack, setings: {}}]", `did you mean "settings"?`},
		{"channels: [{id: a, kind: slack, id: b}]", `key "id" is given twice`},
		{"channels: [{id: a, kind: slack, settings: []}]", `settings must have its keys`},
		{"channels: [{id: a, kind: slack}]", `the channel "a" needs url_file or url_env in its settings`},
		{"channels: [{id: a, kind: slack, settings: {url: 'https://hooks.slack.example/x'}}]", `c.yaml:1:44: a secret has no place in this file: give url_file, or url_env`},
		{"channels: [{id: a, kind: slack, settings: {url_env: 'https://hooks.slack.example/s3cret'}}]", `url_env must be the name of an environment variable, and not the secret itself`},
		{"channels: [{id: a, kind: slack, settings: {url_env: A, url_file: b}}]", `there are both url_file and url_env: keep one`},
		{"channels: [{id: a, kind: telegram, settings: {chat: 1, token_env: T}}]", `unknown key "chat" in the settings of a channel of the kind telegram; it has token_file, token_env, chat_id`},
		{"channels: [{id: a, kind: telegram, settings: {chat_id: [1], token_env: T}}]", `chat_id must be text`},
		{"channels: [{id: a, kind: telegram, settings: {chat_id: 1.5, token_env: T}}]", `chat_id must be text: put it in quotes`},
		{"channels: [{id: a, kind: telegram, settings: {chat_id: me, token_env: T}}]", `chat_id must be the number of a chat`},
		{"channels: [{id: a, kind: telegram, settings: {chat_id: 1, token_env: T, api_url: 'https://127.0.0.1:8443'}}]", `api_url leads to a loopback address, which is not connected to: name the host in allow_hosts, or set allow_private`},
		{"channels: [{id: a, kind: telegram, settings: {token_env: T}}]", `the channel "a" needs chat_id in its settings`},
		{"channels: [{id: a, kind: telegram, timeout: 0s, settings: {chat_id: 1, token_env: T}}]", `timeout must be from 1s to 1m`},
		{"channels: [{id: a, kind: telegram, allow_private: yes please, settings: {chat_id: 1, token_env: T}}]", `allow_private must be true or false`},
		{"channels: [{id: a, kind: slack, allow_hosts: am.example, settings: {url_env: A}}]", `allow_hosts must be a list of at most 16`},
		{"channels: [{id: a, kind: slack, allow_hosts: ['http://am.example/'], settings: {url_env: A}}]", `allow_hosts must be a list of at most 16`},
		{"channels: [{id: a, kind: alertmanager, settings: {url: 'http://am.example'}}]", `url must begin with https://, or the channel have allow_private: true`},
		{"channels: [{id: a, kind: alertmanager, settings: {url: 'https://u:p4ss@am.example'}}]", `url must have no user or password in it`},
		{"channels: [{id: a, kind: alertmanager, settings: {url: 'am.example'}}]", `url must be a URL`},
		{"channels: [{id: a, kind: telegram, fallback: b, settings: {chat_id: 1, token_env: T}}]", `the channel "a" falls back to "b", which there is not`},
		{"channels: [{id: a, kind: telegram, fallback: a, settings: {chat_id: 1, token_env: T}}]", `falls back to itself in the end`},
		{"channels: [{id: a, kind: telegram, fallback: b, settings: {chat_id: 1, token_env: T}}, {id: b, kind: telegram, fallback: a, settings: {chat_id: 1, token_env: T}}]", `the channel "b" falls back to itself in the end`},
		{"channels: [{id: a, kind: telegram, fallback: b, settings: {chat_id: 1, token_env: T}}, {id: b, kind: telegram, tenant: x, settings: {chat_id: 1, token_env: T}}]", `which is another tenant's`},
		{"channels: [{id: a, kind: telegram, settings: {chat_id: 1, token_env: T}}, {id: a, kind: telegram, settings: {chat_id: 1, token_env: T}}]", `the channel id "a" is given twice, first at c.yaml:1:12`},
		{"channels: [" + strings.Repeat("{},", 65) + "]", `there are 65 channels, and at most 64`},
		{telegram + "contacts: {}", `contacts must be a list`},
		{telegram + "contacts: [a]", `a contact must have its keys`},
		{telegram + "contacts: [{channels: [a]}]", `a contact needs an id`},
		{telegram + "contacts: [{id: ana}]", `the contact "ana" needs channels`},
		{telegram + "contacts: [{id: Ana, channels: [a]}]", `id must be 1 to 63`},
		{telegram + "contacts: [{id: ana, channels: a}]", `channels must be a list of the ids`},
		{telegram + "contacts: [{id: ana, channels: []}]", `channels must be a list of the ids`},
		{telegram + "contacts: [{id: ana, channels: [b]}]", `c.yaml:2:33: there is no channel "b"`},
		{"contacts: [{id: ana, channels: [b]}]", `there is no channel "b": configure one under channels`},
		{telegram + "contacts: [{id: ana, channels: [a, a]}]", `the channel "a" is given twice`},
		{telegram + "contacts: [{id: ana, channels: [a], escalation: 0}]", `escalation must be a whole number from 1 (asked at once) to 9`},
		{telegram + "contacts: [{id: ana, channels: [a], phone: 1}]", `unknown key "phone" of a contact`},
		{telegram + "contacts: [{id: ana, channels: [a]}, {id: ana, channels: [a]}]", `the contact id "ana" is given twice`},
		{telegram + "contacts: [{id: ana, channels: [a], escalation: 2}]", `nobody is asked at once`},
		{telegram + "contacts: [" + strings.Repeat("{},", 65) + "]", `there are 65 contacts`},
		{"channels: [{id: v, kind: twilio_voice, settings: {account_sid: AC0123456789abcdef0123456789abcdef, token_env: T, from: '+15557654321', to: '+15557654321'}}]\n" +
			"contacts: [{id: ana, channels: [v]}]", `the contact "ana" can only be called up`},
	} {
		_, _, problems := parse(tt.text)
		if all := strictyaml.Lines(problems); !strings.Contains(all, tt.problem) || strings.Contains(all, "s3cret") || strings.Contains(all, "p4ss") {
			t.Errorf("%s\ngot  %swant %s", tt.text, all, tt.problem)
		}
	}
}

// A mistake in a channel is not also one of whoever is reached by it.
func TestOneMistakeIsToldOnce(t *testing.T) {
	for _, channel := range []string{"{id: a, kind: slak}", "{id: a, colour: red, kind: slack}", "{id: a, kind: slack}"} {
		_, _, problems := parse("channels: [" + channel + ", {id: b, kind: slack, fallback: a, settings: {url_env: A}}]\ncontacts: [{id: ana, channels: [a]}]")
		if all := strictyaml.Lines(problems); strings.Count(all, "\n") != 1 {
			t.Errorf("%s:\n%s", channel, all)
		}
	}
}

func TestAnEmptyList(t *testing.T) {
	channels, contacts, problems := parse("channels:\ncontacts:\n")
	if channels != nil || contacts != nil || problems != nil {
		t.Errorf("%v %v %v", channels, contacts, problems)
	}
}
